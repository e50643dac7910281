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
fn what_runs_beside_requests_is_known() {
    let route = "route 'GET /' { function() return 204 end }\n";
    for (more, beside) in [
        ("", false),
        ("local s = store 'a' { }\nroute '/b' { function() s:set('a', 1) emit('a') end }", false),
        ("every('1m', function() end)", true),
        ("after('1m', function() end)", true),
        ("on('a', function() end)", true),
        ("upstream 'u' { hosts = function() return { '127.0.0.1:1' } end }\nroute '/u' { to = 'u' }", true),
        ("local s = store 'a' { }\nlocal name = 'sub' .. 'scribe'\ns[name](s, 'c', function() end)", true),
        ("route '/j' { jwt { jwks = 'https://a.dev/keys' }, function() end }", true),
    ] {
        let loaded = script(&format!("{route}{more}")).unwrap_or_else(|faults| panic!("{more}\n{faults}"));
        assert_eq!(loaded.program.runs_beside(), beside, "{more}");
    }
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

#[test]
fn every_example_of_the_reference_loads() {
    for word in crate::script::words::all().iter().filter(|word| !word.example.is_empty()) {
        if let Err(faults) = script(word.example) {
            panic!("{}\n{}\n{faults}", word.name, word.example);
        }
    }
}

/// What a namespace has and what the reference says it has are the same.
#[test]
fn namespaces_have_the_members_the_reference_names() {
    let setting = Setting {
        worker: None,
        live: Arc::new(Live::default()),
        control: true,
        clock: Clock::real(),
        snapshot: Arc::new(Snapshot::default()),
        step: std::time::Duration::from_secs(1),
        memory: 64 << 20,
        offline: None,
    };
    let (lua, _context, _session) = open(setting, &Rc::new(Files::on_disk(Path::new(".")))).unwrap();
    for word in crate::script::words::all().iter().filter(|word| word.kind == crate::script::words::Kind::Primitive) {
        let value: mlua::Value = lua.globals().get(word.name).unwrap_or(mlua::Value::Nil);
        let Some(table) = value.as_table() else { continue };
        let prefix = format!("{}.", word.name);
        let name =
            |form: &str| form.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(form).to_owned();
        let mut told: Vec<String> =
            word.members.iter().filter_map(|(form, _)| form.strip_prefix(&prefix)).map(name).collect();
        let mut there: Vec<String> = table.pairs::<String, mlua::Value>().map(|pair| pair.unwrap().0).collect();
        told.sort();
        there.sort();
        assert_eq!(told, there, "{}", word.name);
    }
}

#[test]
fn tables_that_hold_each_other_end_nothing() {
    let text = r#"
policy "any" { options = { [1] = is.any }, step = function(o) return function(req) return 204 end end }
local t = {}
for i = 1, 20 do t["k" .. i] = t end
route "GET /" { any { t } }
"#;
    assert!(script(text).is_ok());
}

#[test]
fn endless_declarations_end() {
    for text in [
        "local i = 0 while true do i = i + 1 route('GET /' .. i) { to = 'echo:' } end",
        "while true do upstrem 'x' {} end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return pcall(f) end while true do f() end",
    ] {
        assert!(script(text).is_err(), "{text}");
    }
}

#[test]
fn the_functions_of_words_that_are_policies_too_are_those_the_checks_know() {
    for word in ["cache", "jwt"] {
        let mut members = crate::script::words::members(word);
        members.sort_unstable();
        let names = format!(
            "local names = {{}} for name in pairs({word}) do table.insert(names, name) end table.sort(names) error(table.concat(names, \" \"))"
        );
        let faults = script(&names).err().expect("it raises");
        assert!(faults.summary().contains(&members.join(" ")), "{word}: {faults}");
    }
}
