//! How errors become failures.

use super::fault::shortened;

#[test]
fn a_long_traceback_keeps_both_ends() {
    let lines: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let short = shortened(&lines);
    assert_eq!((short[14].as_str(), short[15].as_str(), short[16].as_str()), ("14", "… 80 more", "95"));
    assert_eq!(shortened(&lines[..20]).len(), 20);
}
