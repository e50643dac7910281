use super::Health;
use super::Record;

/// How a host that starts up stands after each check: `+` is a good one, `-` a bad one; `u` up, `d` down.
fn run(rise: u32, fall: u32, checks: &str) -> String {
    let rule = Health { rise, fall, ..Health::default() };
    let mut record = Record::default();
    let mut down = false;
    let mut seen = String::new();
    for check in checks.chars() {
        let result = if check == '+' { Ok(()) } else { Err("refused".to_owned()) };
        if let Some(up) = record.note(&rule, result, down) {
            down = !up;
        }
        seen.push(if down { 'd' } else { 'u' });
    }
    seen
}

#[test]
fn three_bad_checks_in_a_row_take_a_host_out_and_two_good_ones_bring_it_back() {
    assert_eq!(run(2, 3, "+---++"), "uuuddu");
    assert_eq!(run(1, 1, "+-+-"), "udud");
}

#[test]
fn one_that_flaps_stays_what_it_is() {
    assert_eq!(run(2, 3, "+--+--+--+"), "uuuuuuuuuu");
    assert_eq!(run(2, 3, "-+-+-+-"), "ddddddd");
}

#[test]
fn the_first_check_decides_alone() {
    assert_eq!(run(2, 3, "-++"), "ddu");
    assert_eq!(run(5, 5, "+"), "u");
}
