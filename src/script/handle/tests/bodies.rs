//! Bodies: read, decoded, replaced, rewritten while they pass.

use bytes::Bytes;

use super::*;
use crate::http::Source;

fn body_of(exchange: &Rc<Exchange>) -> Vec<u8> {
    let mut body = std::mem::take(&mut exchange.request.borrow_mut().body);
    let mut whole = std::pin::pin!(body.collect(1 << 20));
    loop {
        let waker = std::task::Waker::noop();
        if let std::task::Poll::Ready(bytes) = whole.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            return bytes.unwrap().to_vec();
        }
    }
}

/// Bytes that arrive in pieces, with a wait before each.
struct Pieces(Vec<Bytes>, bool);

impl Source for Pieces {
    fn poll_fill(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<&[u8], crate::http::BodyError>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Ok(self.0.first().map_or(&[][..], |piece| piece)))
    }

    fn consume(&mut self, n: usize) {
        if let Some(piece) = self.0.first_mut() {
            drop(piece.split_to(n));
            if piece.is_empty() {
                self.0.remove(0);
            }
        }
    }
}

fn pieces(list: &[&str]) -> Body {
    Body::stream(Pieces(list.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect(), false))
}

/// What the request's body is after `text` ran on `body`.
fn passed(body: Body, text: &str) -> Vec<u8> {
    let (lua, context, exchange) = scene();
    exchange.request.borrow_mut().body = body;
    call(&context, &exchange, &function(&lua, text)).unwrap();
    body_of(&exchange)
}

#[test]
fn a_body_that_was_read_is_still_sent_on() {
    let (lua, context, exchange) = scene();
    exchange.request.borrow_mut().body = pieces(&["{\"a\"", ":1}"]);
    let values = call(&context, &exchange, &function(&lua, "return req:text(), req:json().a, req:text()")).unwrap();
    assert_eq!(values[1].to_string().unwrap(), "1");
    assert_eq!(values[0], values[2]);
    assert_eq!(body_of(&exchange), b"{\"a\":1}");
}

#[test]
fn large_integers_survive_an_edit() {
    let (lua, context, exchange) = scene();
    call(&context, &exchange, &function(&lua, "local body = req:json() body.more = 1 req:set_json(body)")).unwrap();
    assert_eq!(String::from_utf8(body_of(&exchange)).unwrap(), r#"{"n":9007199254740993,"list":[],"more":1}"#);
}

#[test]
fn a_body_that_is_no_json_ends_the_request_unless_tried() {
    let text = "req:set_body('{') local ok = pcall(function() return req:json() end) return 'went on'";
    let failure = eval(text).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.status), ("body.bad_json", 400));
    check("req:set_body('{') local v, why = req:try_json() return v, type(why)", "nil string");
}

#[test]
fn a_body_above_the_limit_is_refused() {
    let (lua, context, exchange) = scene();
    context.set_limits(&crate::downstream::Limits { buffer: 8, ..Default::default() });
    let failure = call(&context, &exchange, &function(&lua, "return req:text()")).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.status), ("body.too_large", 413));
}

#[test]
fn a_coded_body_is_read_decoded_and_sent_on_as_it_was() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"hello hello").unwrap();
    let coded = gzip.finish().unwrap();
    let (lua, context, exchange) = scene();
    exchange.request.borrow_mut().body = Body::from(Bytes::from(coded.clone()));
    exchange.request.borrow_mut().headers.set("content-encoding", "gzip");
    let values = call(&context, &exchange, &function(&lua, "return req:text()")).unwrap();
    assert_eq!(values[0].to_string().unwrap(), "hello hello");
    assert_eq!(body_of(&exchange), coded);
    exchange.request.borrow_mut().body = Body::from(Bytes::from(coded));
    call(
        &context,
        &exchange,
        &function(&lua, "req:map(function(c) return c:upper() end) assert(req.headers['content-encoding'] == nil)"),
    )
    .unwrap();
    assert_eq!(body_of(&exchange), b"HELLO HELLO");
    exchange.request.borrow_mut().body = Body::from("not gzip".to_owned());
    exchange.request.borrow_mut().headers.set("content-encoding", "gzip");
    let failure = call(&context, &exchange, &function(&lua, "return req:text()")).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.status), ("body.bad_encoding", 400));
}

#[test]
fn a_replaced_body_drops_what_described_the_old_one() {
    let (lua, context, exchange) = scene();
    let text = "req.headers.etag = '\"x\"' req.headers['content-md5'] = 'x' req:set_body('new') return req.headers.etag, req.headers['content-md5'], req.headers['content-length']";
    let values = call(&context, &exchange, &function(&lua, text)).unwrap();
    assert_eq!(values.iter().map(|value| value.to_string().unwrap()).collect::<Vec<_>>(), ["nil", "nil", "3"]);
    check(
        "req.headers['content-type'] = 'text/plain' req:set_json({ a = 1 }) return req.type, req:text()",
        "application/json {\"a\":1}",
    );
}

#[test]
fn forms_and_parts_are_read() {
    let form = "req.headers['content-type'] = 'application/x-www-form-urlencoded' req:set_body('a=1&b=x+y&a=2') ";
    check(&format!("{form} local f, pairs = req:form() return f.a, f.b, #pairs"), "1 x y 3");
    fails("return req:form()", "body.bad_form", "no application/x-www-form-urlencoded");
    let parts = "req.headers['content-type'] = 'multipart/form-data; boundary=\"xx\"'
        req:set_body('--xx\\r\\nContent-Disposition: form-data; name=\"a\"\\r\\n\\r\\n1\\r\\n--xx\\r\\nContent-Disposition: form-data; name=\"f\"; filename=\"a b.txt\"\\r\\nContent-Type: text/plain\\r\\n\\r\\nhi\\r\\nthere\\r\\n--xx--\\r\\n') ";
    check(
        &format!(
            "{parts} local p = req:multipart() return #p, p[1].name, p[1].body, p[2].filename, p[2].type, #p[2].body"
        ),
        "2 a 1 a b.txt text/plain 9",
    );
    fails(
        "req.headers['content-type'] = 'multipart/form-data; boundary=x' req:set_body('--x\\r\\nno end') return req:multipart()",
        "body.bad_form",
        "broken",
    );
}

#[test]
fn functions_rewrite_a_body_while_it_passes() {
    assert_eq!(passed(pieces(&["ab", "cd"]), "req:map(function(c) return '<' .. c .. '>' end)"), b"<ab><cd>");
    assert_eq!(
        passed(pieces(&["ab", "cd"]), "req:map(function(c) if c == 'cd' then return nil end return c end)"),
        b"ab"
    );
}

#[test]
fn responses_are_rewritten_by_line_event_and_text() {
    let (lua, context, exchange) = scene();
    let stream = |list: &[&str], text: &str| {
        let mut sent = Response::new(200);
        sent.headers.set("etag", "\"x\"");
        sent.body = pieces(list);
        let res = response(&lua, sent).unwrap();
        let function = machine::compile(&lua, "gateway.lua", &format!("local res = ...\n{text}")).unwrap();
        let Run::Done(outcome) = driver::drive(&context, Some(Rc::clone(&exchange)), &function, &res) else { panic!() };
        outcome.unwrap();
        let sent = held(&lua, &res).unwrap().take().unwrap();
        assert!(!sent.headers.has("etag"));
        exchange.request.borrow_mut().body = sent.body;
        String::from_utf8(body_of(&exchange)).unwrap()
    };
    assert_eq!(stream(&["one\ntw", "o\r\nthree"], "res:lines(function(l) return l:upper() end)"), "ONE\nTWO\nTHREE\n");
    assert_eq!(stream(&["one\ntwo\n"], "res:lines(function(l) if l ~= 'one' then return l end end)"), "two\n");
    assert_eq!(stream(&["xa", "bc ab", "cabc"], "res:replace('abc', '-')"), "x- --");
    let events = ["event: a\ndata: 1\nda", "ta: 2\n\n: ping\n\nid: 9\ndata: x\n\n"];
    let text = "res:sse(function(e) if e.id then return nil end e.data = e.data .. '!' return e end)";
    assert_eq!(stream(&events, text), "event: a\ndata: 1\ndata: 2!\n\n: ping\n\n");
}

#[test]
fn chunks_are_read_as_they_arrive() {
    let (lua, context, exchange) = scene();
    exchange.request.borrow_mut().body = pieces(&["ab", "cd", "e"]);
    let text = "local all = '' for chunk in req:chunks() do all ..= '[' .. chunk .. ']' end return all";
    let values = call(&context, &exchange, &function(&lua, text)).unwrap();
    assert_eq!(values[0].to_string().unwrap(), "[ab][cd][e]");
}

#[test]
fn a_function_that_fails_or_rejects_cuts_the_stream() {
    for text in ["error('no')", "reject(500)", "return {}"] {
        let (lua, context, exchange) = scene();
        call(&context, &exchange, &function(&lua, &format!("req:map(function(c) {text} end)"))).unwrap();
        let mut body = std::mem::take(&mut exchange.request.borrow_mut().body);
        let waker = std::task::Waker::noop();
        let polled = body.poll_fill(&mut std::task::Context::from_waker(waker));
        assert!(matches!(polled, std::task::Poll::Ready(Err(crate::http::BodyError::Script))), "{text}");
    }
}
