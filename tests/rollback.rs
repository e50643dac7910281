//! Back to what ran before: by hand, and by a guard that counts the script's errors after a reload.

use crate::support::binary;
use crate::support::gateway;
use crate::support::wait;

fn says(text: &str, guard: &str) -> String {
    format!(
        r#"gateway {{ {guard} }}
route "GET /" {{ function(req) if req.query.bad then local x = nil return x.y end return {{ text = "{text}" }} end }}"#
    )
}

#[test]
fn a_rollback_brings_back_what_ran_before_and_keeps_the_other_out() {
    let gateway = gateway::script(&says("one", "")).start();
    let mut admin = gateway.admin();
    assert_eq!(admin.call("POST", "/rollback", &[], "").status, 422, "there is nothing to go back to");
    gateway.edit(&says("two", "")).unwrap();
    assert_eq!(gateway.get("/").text(), "two");
    assert_eq!(admin.call("POST", "/rollback", &[], "").with(200).json()["generation"], 3);
    assert_eq!(gateway.get("/").text(), "one");
    assert_eq!(admin.call("POST", "/rollback", &[], "").status, 422, "once");
    assert_eq!(gateway.metric("moongate_rollbacks_total"), 1.0);
    gateway.edit(&says("three", "")).unwrap();
    assert_eq!(gateway.get("/").text(), "three");
}

#[test]
fn what_was_rolled_back_stays_out_until_a_file_changes() {
    let gateway = gateway::script(&says("one", "")).watch().start();
    gateway.save(&says("two", ""));
    wait::until("two is live", || gateway.get("/").text() == "two");
    gateway.admin().call("POST", "/rollback", &[], "").with(200);
    gateway.save(&says("two", ""));
    gateway.save(&says("three", ""));
    wait::until("three is live", || gateway.get("/").text() == "three");
}

#[test]
fn a_guarded_reload_whose_script_fails_takes_itself_back() {
    let guard = r#"guard = { script_errors = "10%", within = "60s" }"#;
    let gateway = gateway::script(&says("one", guard)).start();
    gateway.edit(&says("two", guard)).unwrap();
    for _ in 0..40 {
        gateway.get("/").with(200);
    }
    for _ in 0..4 {
        gateway.get("/?bad=1").with(500);
    }
    assert_eq!(gateway.get("/").text(), "two", "four errors in 44 requests are fewer than it takes");
    for _ in 0..6 {
        gateway.get("/?bad=1");
    }
    // Asking for the page itself would make the errors few among many.
    wait::until("it is taken back", || gateway.metric("moongate_rollbacks_total") > 0.0);
    assert_eq!(gateway.get("/").text(), "one");
    let state = gateway.admin().get("/state");
    let state = state.text();
    assert!(state.contains("was rolled back") && state.contains("ended in an error of the script"), "{state}");
}

#[test]
fn a_reload_without_a_guard_or_without_errors_stays() {
    let gateway = gateway::script(&says("one", "")).start();
    gateway.edit(&says("two", r#"guard = { script_errors = "1%", within = "1ms" }"#)).unwrap();
    wait::until("the guard is off", || {
        gateway.get("/").with(200);
        gateway.metric("http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"GET /\",http_response_status_code=\"200\",network_protocol_version=\"1.1\"}") > 3.0
    });
    gateway.edit(&says("three", "")).unwrap();
    for _ in 0..20 {
        gateway.get("/?bad=1").with(500);
    }
    assert_eq!(gateway.get("/").text(), "three");
}

#[test]
fn the_command_asks_the_running_gateway() {
    let gateway = binary::script("route \"GET /\" { mock { text = \"one\" } }").start();
    let dir = gateway.dir().clone();
    dir.write("gateway.lua", "route \"GET /\" { mock { text = \"two\" } }");
    wait::until("two is live", || gateway.client().get("/").text() == "two");
    let admin = gateway.admin_address().to_string();
    let output = binary::run(dir.path(), &["rollback", "--admin", &admin]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "generation 3 runs\n");
    assert_eq!(gateway.client().get("/").text(), "one");
    let output = binary::run(dir.path(), &["rollback", "--admin", &admin]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no generation to go back to"));
    drop(gateway);
    let output = binary::run(dir.path(), &["rollback", "--admin", &admin]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no gateway answers"));
}
