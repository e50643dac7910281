//! What makes `--watch` run the tests again, and how a long file is run in parts.

use std::sync::mpsc;

use super::*;
use crate::gateway::scratch::Scratch;

/// A run over `folder` that began at `began`; told when something has changed.
fn watching(folder: &Scratch, began: SystemTime) -> mpsc::Receiver<()> {
    let (told, changed) = mpsc::channel();
    let files = vec![folder.path().join("gateway.lua")];
    let played = Played { files, ..Played::default() };
    let asked = vec![folder.path().to_owned()];
    std::thread::spawn(move || {
        wait_for_change(&asked, &[played], began);
        let _ = told.send(());
    });
    changed
}

fn folder() -> Scratch {
    let folder = Scratch::new();
    for name in ["gateway.lua", "gateway_test.lua"] {
        let file = folder.write(name, "-- nothing");
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::open(file).unwrap().set_modified(long_ago).unwrap();
    }
    folder
}

/// It was saved after its test file was read and before anybody looked at the files again: the change was lost.
#[test]
fn a_file_saved_while_the_tests_ran_makes_them_run_again() {
    let folder = folder();
    let began = SystemTime::now();
    folder.write("gateway.lua", "-- saved meanwhile");
    watching(&folder, began).recv_timeout(PATIENCE).expect("it is seen without a further change");
}

#[test]
fn nothing_runs_again_before_a_file_changes_or_comes() {
    let folder = folder();
    let changed = watching(&folder, SystemTime::now());
    assert!(changed.recv_timeout(LOOK * 3).is_err(), "nothing has changed");
    folder.write("more_test.lua", "-- a test file more");
    changed.recv_timeout(PATIENCE).expect("a test file that comes is a change");
}

/// Runs `tests` on two threads, each worth it from three tests on; their names, and what failed.
fn in_parts(tests: &str) -> (Vec<String>, Vec<String>, Played) {
    let folder = Scratch::new();
    let script = folder.write("gateway.lua", "route \"GET /\" { mock {} }\nroute \"GET /x\" { mock {} }");
    let pair = Pair { test: folder.write("gateway_test.lua", tests), script };
    let task =
        play::Task { env: std::collections::BTreeMap::new(), secrets: None, filter: None, coverage: true, part: 3 };
    let played = play::play(&pair, &task, 2);
    assert_eq!(played.fault, None);
    let names = played.tests.iter().map(|test| test.name.clone()).collect();
    let failed = played.tests.iter().filter_map(|test| Some(test.failed.as_ref()?.message.clone())).collect();
    (names, failed, played)
}

#[test]
fn a_long_file_is_run_in_parts_and_told_as_one() {
    let tests: String = (1..=7)
        .map(|n| format!("test(\"{n}\", function(gw) expect(gw:get(\"/\").status).is({}) end)\n", 200 + n / 7))
        .collect();
    let (names, failed, played) = in_parts(&tests);
    assert_eq!(names, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(failed, ["expected 201, got 200"]);
    let covered = coverage::text(&coverage::joined([(&*played.script, &played.coverage)].into_iter()));
    assert!(covered.contains("GET /  200 x7") && covered.contains("GET /x  never exercised"), "{covered}");
}

#[test]
fn tests_that_leave_something_in_a_local_of_the_file_are_run_one_after_the_other() {
    let each = "for n = 1, 7 do test(tostring(n), function() before += 1 expect(before).is(n) end) end";
    let (names, failed, _) = in_parts(&format!("local before = 0\n{each}"));
    assert_eq!((names.len(), failed), (7, Vec::new()));
}

const PATIENCE: Duration = Duration::from_secs(20);
