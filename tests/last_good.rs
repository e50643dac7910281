//! The last good script survives a restart during a bad edit (C-03, U-06).

use crate::support::binary;
use crate::support::binary::Setup;

const GOOD: &str = r#"
local words = require "./words"
route "GET /" { function() return { text = words.hello } end }
"#;

#[test]
fn a_restart_with_a_broken_file_serves_the_last_good_one() {
    for option in ["--state", "--last-good"] {
        let first = binary::script(GOOD)
            .file("words.lua", r#"return { hello = "hello" }"#)
            .argument(option)
            .argument("$DIR/state")
            .start();
        assert_eq!(first.client().get("/").with(200).text(), "hello");
        let dir = first.dir().clone();
        drop(first);
        dir.write("gateway.lua", "this is not Lua");
        dir.write("words.lua", "nor this");
        let mut second = Setup::again(&dir).argument(option).argument("$DIR/state").start();
        assert_eq!(second.client().get("/").with(200).text(), "hello");
        second.logs("gateway.lua:1");
        assert!(second.alive());
        dir.write("words.lua", r#"return { hello = "again" }"#);
        dir.replace("gateway.lua", GOOD);
        crate::support::wait::until("the mended file is live", || second.client().get("/").text() == "again");
    }
}

#[test]
fn without_a_state_folder_a_broken_file_does_not_start() {
    let dir = crate::support::temp::Dir::new();
    dir.write("gateway.lua", "this is not Lua");
    let output = binary::run(dir.path(), &["run", "--listen", "127.0.0.1:0", "--admin", "off"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gateway.lua:1"));
}
