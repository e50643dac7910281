//! Saves of every kind, each noticed once.

use std::future::Future;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::gateway::scratch::Scratch;

/// Watches `files`, does `act`, and says what was noticed: once, and nothing after that.
fn noticed(files: &[PathBuf], act: impl FnOnce()) -> Vec<PathBuf> {
    block_on(async {
        let clock = Clock::real();
        let mut watch = Watch::new(clock.clone());
        watch.follow(files, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert!(watch.system.is_some(), "no inotify here");
        act();
        let changed = clock.timeout(Duration::from_secs(3), watch.changed()).await.expect("noticed by an event");
        watch.follow(files, SystemTime::now());
        let again = clock.timeout(Duration::from_millis(700), watch.changed()).await;
        assert_eq!(again, None, "one save is one change");
        changed
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn shell(directory: &Scratch, script: &str) {
    let done = Command::new("sh").arg("-ec").arg(script).current_dir(directory.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_write_in_place() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    let changed = noticed(std::slice::from_ref(&file), || drop(scratch.write("gateway.lua", "b")));
    assert_eq!(changed, [file]);
}

#[test]
fn an_atomic_save_as_vim_does_it() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    let script = "echo x > 4913; rm 4913; mv gateway.lua gateway.lua~; echo b > gateway.lua; rm gateway.lua~";
    assert_eq!(noticed(std::slice::from_ref(&file), || shell(&scratch, script)), [file]);
}

#[test]
fn a_second_and_a_third_atomic_save() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    block_on(async {
        let clock = Clock::real();
        let mut watch = Watch::new(clock.clone());
        watch.follow(std::slice::from_ref(&file), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        for round in 0..3 {
            shell(&scratch, &format!("echo {round} > new; mv new gateway.lua"));
            let changed = clock.timeout(Duration::from_secs(3), watch.changed()).await;
            assert_eq!(changed.as_deref(), Some(std::slice::from_ref(&file)), "save {round}");
        }
    });
}

#[test]
fn sed_in_place() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a\n");
    assert_eq!(noticed(std::slice::from_ref(&file), || shell(&scratch, "sed -i s/a/b/ gateway.lua")), [file]);
}

#[test]
fn a_file_moved_over() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    assert_eq!(noticed(std::slice::from_ref(&file), || shell(&scratch, "echo b > new; mv new gateway.lua")), [file]);
}

#[test]
fn a_slow_replacement_is_one_change() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    let script = "rm gateway.lua; sleep 0.25; echo b > gateway.lua";
    let changed = noticed(std::slice::from_ref(&file), || shell(&scratch, script));
    assert_eq!(changed, [file]);
}

#[test]
fn the_symlink_swap_of_a_config_map() {
    let scratch = Scratch::new();
    scratch.write("..v1/gateway.lua", "a");
    scratch.write("..v2/gateway.lua", "b");
    symlink("..v1", scratch.path().join("..data")).unwrap();
    let file = scratch.path().join("gateway.lua");
    symlink("..data/gateway.lua", &file).unwrap();
    let script = "ln -s ..v2 ..data_tmp; mv -T ..data_tmp ..data; rm -r ..v1";
    assert_eq!(noticed(std::slice::from_ref(&file), || shell(&scratch, script)), [file]);
}

#[test]
fn a_release_directory_swapped_above_the_file() {
    let scratch = Scratch::new();
    scratch.write("releases/1/gateway.lua", "a");
    scratch.write("releases/2/gateway.lua", "b");
    symlink("releases/1", scratch.path().join("current")).unwrap();
    let file = scratch.path().join("current/gateway.lua");
    assert_eq!(noticed(std::slice::from_ref(&file), || shell(&scratch, "ln -sfn releases/2 current")), [file]);
}

#[test]
fn a_checkout_of_several_files_is_one_change() {
    let scratch = Scratch::new();
    let main = scratch.write("gateway.lua", "a");
    let policy = scratch.write("policies/auth.lua", "a");
    let git = "git -c user.name=t -c user.email=t@example.org";
    shell(
        &scratch,
        &format!(
            "git init -q . && git add . && {git} commit -qm a && git checkout -qb next && echo b > gateway.lua \
             && git rm -q --cached policies/auth.lua && rm -r policies && {git} commit -qam b && git checkout -q -"
        ),
    );
    let files = [main, policy];
    let changed = noticed(&files, || shell(&scratch, "git checkout -q next"));
    assert_eq!(changed, files);
}

#[test]
fn a_required_file_that_comes_back_in_a_new_directory() {
    let scratch = Scratch::new();
    let main = scratch.write("gateway.lua", "a");
    let policy = scratch.write("policies/auth.lua", "a");
    let script = "mv policies old; mkdir policies; echo b > policies/auth.lua";
    assert_eq!(noticed(&[main, policy.clone()], || shell(&scratch, script)), [policy]);
}

#[test]
fn a_new_file_in_a_directory_that_was_searched() {
    let scratch = Scratch::new();
    let main = scratch.write("gateway.lua", "a");
    let routes = scratch.write("routes/a.lua", "a").parent().unwrap().to_owned();
    let script = "echo x > routes/.b.lua.swp; echo b > routes/b.lua; rm routes/.b.lua.swp";
    assert_eq!(noticed(&[main, routes.clone()], || shell(&scratch, script)), [routes]);
}

#[test]
fn touching_a_file_changes_nothing() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    block_on(async {
        let clock = Clock::real();
        let mut watch = Watch::new(clock.clone());
        watch.follow(std::slice::from_ref(&file), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        shell(&scratch, "touch gateway.lua; cat gateway.lua; echo x > other; rm other");
        assert_eq!(clock.timeout(Duration::from_millis(500), watch.changed()).await, None);
    });
}

#[test]
fn noise_beside_the_file_does_not_delay_us() {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.lua", "a");
    block_on(async {
        let clock = Clock::real();
        let mut watch = Watch::new(clock.clone());
        watch.follow(std::slice::from_ref(&file), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        let noise = Command::new("sh")
            .args(["-c", "for i in $(seq 60); do echo $i >> access.log; sleep 0.02; done"])
            .current_dir(scratch.path())
            .spawn();
        scratch.write("gateway.lua", "b");
        let before = clock.now();
        assert_eq!(watch.changed().await, [file]);
        assert!(clock.now().since(before) < Duration::from_millis(600), "{:?}", clock.now().since(before));
        noise.unwrap().wait().unwrap();
    });
}

#[test]
fn a_file_written_while_it_was_loaded_is_looked_at_again() {
    let scratch = Scratch::new();
    let began = SystemTime::now();
    let file = scratch.write("gateway.lua", "a");
    block_on(async {
        let mut watch = Watch::new(Clock::real());
        watch.follow(std::slice::from_ref(&file), began);
        assert!(watch.pending);
    });
}
