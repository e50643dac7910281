//! `function(req, next)`.

use bytes::Bytes;

use super::*;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Source;

#[test]
fn a_wrapper_sees_what_follows_and_may_change_it() {
    check(
        "function(req, next) local res = next() res.headers.x = 'y' res.status = 202 end, function(req) return { text = 'a' } end",
        "202 a",
    );
    check(
        "function(req, next) local res = next() return { text = res:text() .. '!' } end, function(req) return { text = 'a' } end",
        "200 a!",
    );
    check("function(req, next) return 418 end, function(req) return 200 end", "418");
    check("function(req, next) req.ctx.x = 'w' end, function(req) return { text = req.ctx.x } end", "200 w");
    check(
        "function(req, next) nap() local r = next() nap() return r end, function(req, next) nap() return next() end, function() nap() return 204 end",
        "204",
    );
}

#[test]
fn next_returns_a_response_for_refusals_and_failures_too() {
    let codes = "function(req, next) local res = next() return { text = res.status .. ' ' .. tostring(res.error and res.error.code) .. ' ' .. res.from } end";
    check(&format!("{codes}, function() reject(403, 'no') end"), "200 403 rejected error");
    check(&format!("{codes}, function() error('broken') end"), "200 500 script.error error");
    check(&format!("{codes}, function() return 204 end"), "200 204 nil step");
    check(codes, "200 404 route.none error");
}

#[test]
fn a_failure_that_stands_is_still_in_force() {
    let scene = scene(
        "return { steps = { function(req, next) next() end, function() reject(403, 'no', { code = 'my.code' }) end } }",
    );
    let exchange = scene.exchange();
    let Verdict::Answer(response) = scene.wait(scene.hooks.steps(&exchange)) else { panic!() };
    assert_eq!(response.status, 403);
    assert_eq!(exchange.failure.borrow().as_ref().unwrap().code.as_str(), "my.code");
    assert_eq!(exchange.record.borrow().reason.as_deref(), Some("my.code"));
}

#[test]
fn a_failure_stands_through_every_wrapper_around_it() {
    let wrapped = "function(req, next) local res = next() res.headers.x = tostring(res.error and res.error.code) end";
    let scene = scene(&format!(
        "return {{ steps = {{ {wrapped}, function(req, next) next() end, {wrapped}, function() reject(403, 'no', {{ code = 'my.code' }}) end }} }}"
    ));
    let exchange = scene.exchange();
    let Verdict::Answer(response) = scene.wait(scene.hooks.steps(&exchange)) else { panic!() };
    assert_eq!((response.status, response.headers.text("x")), (403, Some("my.code")));
    assert_eq!(exchange.failure.borrow().as_ref().unwrap().code.as_str(), "my.code");
    assert_eq!(exchange.record.borrow().reason.as_deref(), Some("my.code"));
}

#[test]
fn next_may_be_called_again() {
    let text = "return { steps = { function(req, next) local res for i = 1, 3 do res = next() if res.status == 200 then return res end end end,
        function(req) req.ctx.n = (req.ctx.n or 0) + 1 if req.ctx.n < 3 then reject(503) end return { text = req.ctx.n .. req:text() } end } }";
    let scene = scene(text);
    let exchange = scene.exchange();
    exchange.request.borrow_mut().body = Body::stream(Pieces(vec!["ab".into(), "cd".into()]));
    let verdict = scene.wait(scene.hooks.steps(&exchange));
    assert_eq!(shown(verdict), "200 3abcd");
    assert!(exchange.failure.borrow().is_none());
    assert!(exchange.record.borrow().reason.is_none());
}

#[test]
fn a_body_too_large_to_keep_is_not_sent_again() {
    let text = "return { steps = { function(req, next) next() next() end, function(req) for c in req:chunks() do end reject(503) end } }";
    let scene = scene(text);
    scene.context.set_limits(&crate::downstream::Limits { buffer: 3, ..Default::default() });
    let exchange = scene.exchange();
    exchange.request.borrow_mut().body = Body::stream(Pieces(vec!["ab".into(), "cd".into()]));
    assert_eq!(
        shown(scene.wait(scene.hooks.steps(&exchange))),
        "! 413 body.too_large the body is too large to be sent again"
    );
}

#[test]
fn a_wrapper_that_rejects_after_next_ends_the_request() {
    check("function(req, next) next() reject(409, 'late') end, function(req) return 200 end", "! 409 rejected late");
    check("function(req, next) pcall(next) error('late') end, function(req) return 200 end", "! 500 script.error late");
}

#[test]
fn a_response_is_sent_once() {
    check("function(req, next) local res = next() return res end, function(req) return 204 end", "204");
    let kept = "local kept return { steps = { function(req, next) if kept then return kept end kept = next() end, function() return 200 end } }";
    let scene = scene(kept);
    assert_eq!(scene.steps(), "200");
    assert_eq!(scene.steps(), "! 500 script.answer the response was sent or returned already");
}

struct Pieces(Vec<Bytes>);

impl Source for Pieces {
    fn poll_fill(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        Poll::Ready(Ok(self.0.first().map_or(&[][..], |piece| piece)))
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

#[test]
fn a_kept_next_belongs_to_its_own_request() {
    let text = "local kept return { steps = { function(req, next) if kept then kept() end kept = next end, function() return { text = 'secret' } end } }";
    let scene = scene(text);
    let first = scene.exchange();
    assert_eq!(shown(scene.wait(scene.hooks.steps(&first))), "200 secret");
    let told = scene.steps();
    assert!(told.starts_with("! 500 script.error this `next` belongs to another request"), "{told}");
    drop(first);
    assert!(scene.steps().starts_with("! 500 script.error the request is over"));
}

#[test]
fn responses_that_nobody_sends_go_with_their_request() {
    let text = "local kept return { steps = { function(req, next) kept = next() return 204 end, function() return { stream = function(write) write('x') end } end } }";
    let scene = scene(text);
    let exchange = scene.exchange();
    assert_eq!(shown(scene.wait(scene.hooks.steps(&exchange))), "204");
    assert_eq!(Rc::strong_count(&exchange), 1, "a response in the machine keeps no request");
}
