//! What makes `--watch` run the tests again.

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

const PATIENCE: Duration = Duration::from_secs(20);
