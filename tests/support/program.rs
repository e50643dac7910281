//! Programs that others wrote, where this machine has them; `scripts/test` installs them where it may.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// What a program printed; `None` where it is not installed. One that fails fails the test.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        println!("{program} is not installed: not asked");
        return None;
    }
    Some(said(Path::new(program), arguments))
}

/// The same of a script in Python that needs this module.
#[track_caller]
pub(crate) fn python(module: &str, script: &str, arguments: &[&str]) -> Option<String> {
    let found = ["python3", "/usr/bin/python3"].map(PathBuf::from).into_iter().find(|python| {
        let tried = Command::new(python).args(["-c", &format!("import {module}")]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(python) = found else {
        println!("Python's {module} is not installed: not asked");
        return None;
    };
    Some(said(&python, &[&["-c", script], arguments].concat()))
}

#[track_caller]
fn said(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {errors}{text}", program.display());
    text
}
