//! `errors`, `on_error` and `on_response`.

use super::*;
use crate::proxy::Code;

impl Scene {
    fn fail(&self, code: &str) -> String {
        let failure = Failure::new(Code::Custom(code.into()), "told").status(418).header("Retry-After", "9");
        match self.wait(self.hooks.on_failure(&self.exchange(), failure)) {
            Ok(response) => show(response),
            Err(failure) => format!("! {} {}", failure.status, failure.code.as_str()),
        }
    }

    fn respond(&self, status: u16) -> String {
        let exchange = self.exchange();
        show(self.wait(self.hooks.on_response(&exchange, Response::with(status, "text/plain", "body".to_owned()))))
    }
}

#[test]
fn the_most_specific_name_wins_then_the_inner_level() {
    let text = "local function say(t) return function(req, err) return { text = t .. err.code } end end
        return { levels = { { errors = { ['*'] = say 'r*' , ['quota.*'] = say 'rq' } }, { errors = { ['quota.exceeded'] = say 'gx' }, on_error = say 'ge' },
                            { errors = { ['*'] = say 'w*', ['quota.exceeded'] = say 'wx', ['b.c'] = { status = 499, json = { code = '{error.code}', path = '{path}' } } } } } }";
    let scene = scene(text);
    assert_eq!(scene.fail("quota.exceeded"), "418 gxquota.exceeded");
    assert_eq!(scene.fail("quota.other"), "418 rqquota.other");
    assert_eq!(scene.fail("a.b"), "418 r*a.b");
    assert!(scene.fail("b.c").starts_with("499 {\"code\""));
}

#[test]
fn nil_asks_the_next_level_out() {
    let scene = scene(
        "return { levels = { { on_error = function() end }, { on_error = function(req, err) nap() if err.code == 'a' then return { status = 200, text = err.detail } end end } } }",
    );
    assert_eq!(scene.fail("a"), "200 told");
    assert_eq!(scene.fail("b"), "! 418 b");
}

#[test]
fn fields_a_failure_must_carry_are_kept() {
    let scene = scene("return { levels = { { on_error = function() return { text = 'x' } end } } }");
    let failure = Failure::new(Code::RouteMethod, "").header("Allow", "GET");
    let Ok(response) = scene.wait(scene.hooks.on_failure(&scene.exchange(), failure)) else { panic!() };
    assert_eq!(response.headers.text("allow"), Some("GET"));
    assert_eq!((response.status, response.origin.as_str()), (405, "error"));
}

#[test]
fn a_failure_in_on_error_goes_one_level_out_once() {
    let scene = scene(
        "return { levels = { { on_error = function() error('inner') end }, { on_error = function(req, err) return { text = err.code } end } } }",
    );
    assert_eq!(scene.fail("a"), "500 script.error");
    let scene = self::scene(
        "return { levels = { { on_error = function() error('inner') end }, { on_error = function() reject(409) end }, { on_error = function() return 200 end } } }",
    );
    assert_eq!(scene.fail("a"), "! 409 rejected");
}

#[test]
fn on_response_goes_from_inner_to_outer() {
    let text = "return { levels = { { on_response = function(req, res) res.headers.x = 'r' end }, {}, { on_response = function(req, res) nap() return { text = res.headers.x .. res.status } end } } }";
    assert_eq!(scene(text).respond(203), "200 r203");
    assert_eq!(
        scene("return { levels = { { on_response = function(req, res) res.status = 202 end } } }").respond(200),
        "202 body"
    );
}

#[test]
fn a_failure_in_on_response_goes_one_level_out_once() {
    let text = "return { levels = { { on_response = function() error('x') end }, { on_error = function(req, err) return { status = 299, text = err.code } end, on_response = function(req, res) res.headers.seen = 'y' end } } }";
    assert_eq!(scene(text).respond(200), "299 script.error");
    let text =
        "return { levels = { { on_response = function() error('x') end, on_error = function() return 200 end } } }";
    assert!(scene(text).respond(200).starts_with("500 {"), "its own level is not asked");
    let text = "return { levels = { { on_response = function() reject(409) end }, { on_response = function() error('again') end } } }";
    assert!(scene(text).respond(200).starts_with("500 {"));
    let text = "return { levels = { { on_response = function(req, res) return 'text' end } } }";
    assert!(scene(text).respond(200).starts_with("500 {"));
}
