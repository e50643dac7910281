//! What a hook costs; run under callgrind: `valgrind --tool=callgrind --toggle-collect='*hooks5tests4cost4once*' … --ignored cost`.

use super::*;

/// The only code that is counted.
#[inline(never)]
fn once(hooks: &dyn Hooks, exchange: &Rc<Exchange>) -> bool {
    matches!(hooks.steps(exchange), Run::Done(Verdict::Continue))
}

fn run(text: &str) {
    let scene = scene(&format!("return {{ steps = {{ {text} }} }}"));
    for turn in 0..3000 {
        let exchange = scene.exchange();
        assert!(once(&*scene.hooks, &exchange));
        if turn % 500 == 0 {
            scene.context.clock().advance(Duration::from_secs(1));
        }
    }
}

#[test]
#[ignore = "for callgrind"]
fn three_reads_and_two_writes() {
    run("function(req)
        local h = req.headers
        local a, b, c = h['accept'], h['x-tag'], h['authorization']
        if a == 'x' or b == 'y' or c == 'z' then return 400 end
        h['x-one'] = 'first'
        h['x-two'] = 'second'
    end");
}

#[test]
#[ignore = "for callgrind"]
fn nothing_at_all() {
    run("function(req) end");
}
