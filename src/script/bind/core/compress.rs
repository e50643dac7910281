//! `core.compress(options)`: a function of `req` that has its answer compressed, whoever makes it.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::http::Method;
use crate::http::Response;
use crate::http::coding::Coding;
use crate::proxy::Exchange;
use crate::proxy::exchange::Finisher;
use crate::transform::compress::Compress;
use crate::transform::compress::Config;
use crate::transform::compress::Levels;
use crate::transform::compress::forbids;

/// Prepared once: what is left per request is to look at `Accept-Encoding`.
pub(super) fn compress(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let codings: Vec<String> = options.raw_get("codings")?;
    let levels: Option<Table> = options.raw_get("levels")?;
    let level = |name: &str| levels.as_ref().map_or(Ok(None), |levels| levels.raw_get::<Option<i32>>(name));
    let usual = Levels::default();
    let compress = Rc::new(Compress::new(Config {
        types: options.raw_get("types")?,
        min: options.raw_get("min")?,
        codings: codings.iter().filter_map(|name| Coding::named(name)).collect(),
        levels: Levels {
            gzip: level("gzip")?.map_or(usual.gzip, i32::unsigned_abs),
            br: level("br")?.map_or(usual.br, i32::unsigned_abs),
            zstd: level("zstd")?.unwrap_or(usual.zstd),
        },
    }));
    let plain = finisher(&compress, None);
    let coded = Coding::ALL.map(|coding| finisher(&compress, Some(coding)));
    lua.create_function(move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let field = exchange.request.borrow().headers.joined("accept-encoding").map(std::borrow::Cow::into_owned);
        let finisher = compress.choose(field.as_deref()).map_or(&plain, |coding| &coded[coding as usize]);
        exchange.finishers.borrow_mut().push(Rc::clone(finisher));
        Ok(())
    })
}

fn finisher(compress: &Rc<Compress>, coding: Option<Coding>) -> Finisher {
    let compress = Rc::clone(compress);
    Rc::new(move |exchange: &Exchange, response: &mut Response| {
        let request = exchange.request.borrow();
        let head = request.method == Method::Head;
        let fixed = forbids(&request.headers);
        drop(request);
        compress.apply(coding, head, fixed, response);
    })
}
