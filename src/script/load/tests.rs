use super::*;

fn script(text: &str) -> Result<Loaded, Faults> {
    let folder = std::env::temp_dir().join(format!("moongate-load-{}-{:p}", std::process::id(), text));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("gateway.lua"), text).unwrap();
    let loaded = load(&folder.join("gateway.lua"), &LoadOptions { clock: Clock::real(), ..LoadOptions::default() });
    std::fs::remove_dir_all(folder).unwrap();
    loaded
}

#[test]
fn the_first_screen_of_the_contract_loads() {
    let text = r#"
gateway { listen = ":8080" }
upstream "users" { "10.0.0.11:9000", "10.0.0.12:9000" }
route "GET /users/{id}" { to = "users" }
route "GET /hello" {
  function(req) return { json = { hello = req.query.name or "world" } } end,
}
"#;
    let loaded = script(text).unwrap_or_else(|faults| panic!("{faults}"));
    let plan = loaded.program.plan();
    assert_eq!(plan.routes.len(), 2);
    assert_eq!(plan.routes[0].pattern, "GET /users/{id}");
    assert_eq!(plan.routes[1].steps[0].place, ("gateway.lua".to_owned(), 6));
    assert_eq!(plan.upstreams[0].hosts.len(), 2);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.program.files()[0].ends_with("gateway.lua"));
}

#[test]
fn ten_thousand_routes_load() {
    let mut text = String::from("upstream \"users\" { \"10.0.0.11:9000\" }\n");
    for index in 0..10_000 {
        text.push_str(&format!("route \"GET /r{index}/{{id}}\" {{ to = \"users\" }}\n"));
    }
    let begun = Clock::real().now();
    let loaded = script(&text).unwrap_or_else(|faults| panic!("{faults}"));
    eprintln!("10,000 routes: {:?}", Clock::real().now().since(begun));
    assert_eq!(loaded.program.plan().routes.len(), 10_000);
}

#[test]
fn an_endless_top_level_ends() {
    let faults = script("while true do end").err().expect("it is endless");
    assert!(faults.summary().contains("longer than 5 s"), "{faults}");
}

#[test]
fn what_follows_a_nul_byte_is_not_ignored() {
    let faults = script("gateway { }\n\0 nonsense (").err().expect("it is no text");
    assert!(faults.summary().contains("gateway.lua:2: a NUL byte"), "{faults}");
}
