//! `moongate test --watch`: the tests run again after every change, until somebody has seen enough.

use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;

use crate::support::binary;
use crate::support::temp::Dir;
use crate::support::wait;

/// The command as it watches `dir`.
struct Watching {
    child: Child,
    text: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Watching {
    fn start(dir: &Dir) -> Self {
        let mut command = binary::command();
        command.current_dir(dir.path()).args(["test", "--watch"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let text = Arc::default();
        let readers = vec![
            binary::gather(child.stdout.take().unwrap(), &text),
            binary::gather(child.stderr.take().unwrap(), &text),
        ];
        Self { child, text, readers }
    }

    /// Waits until `what` was said `times` times.
    #[track_caller]
    fn says(&self, what: &str, times: usize) {
        let said = || self.text.lock().unwrap().matches(what).count() >= times;
        wait::until(&format!("{what:?} is said {times} times"), said);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It never ends by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
    }
}

fn answers(text: &str) -> String {
    format!("local said = require \"./said\"\nroute \"GET /\" {{ mock {{ text = \"{text}\" .. said }} }}")
}

const TEST: &str = r#"test("it says one", function(gw) expect(gw:get("/").body).is("one") end)"#;

#[test]
fn a_change_of_script_module_or_test_is_tried_at_once() {
    let dir = Dir::new();
    dir.write("said.lua", "return \"\"");
    dir.write("gateway.lua", answers("one"));
    dir.write("gateway_test.lua", TEST);
    let watching = Watching::start(&dir);
    watching.says("1 passed, 0 failed", 1);
    dir.replace("gateway.lua", answers("two"));
    watching.says("expected \"one\", got \"two\"", 1);
    dir.write("said.lua", "return \"!\"");
    watching.says("expected \"one\", got \"two!\"", 1);
    dir.replace("gateway.lua", "rout \"GET /\" {}");
    watching.says("did you mean `route`?", 1);
    dir.replace("gateway.lua", answers("one"));
    watching.says("expected \"one\", got \"one!\"", 1);
    dir.write("gateway_test.lua", TEST.replace("is(\"one\")", "is(\"one!\")"));
    watching.says("1 passed, 0 failed", 2);
    dir.write("more_test.lua", TEST.replace("it says", "more says"));
    watching.says("FAILED more says one", 1);
}
