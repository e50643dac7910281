//! Scripts never see wrong numbers: integers beyond 2^53 survive decode, edit and encode.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn big_integers_survive_every_way_through_a_script() {
    let service = upstream::answers(|seen| upstream::answer(200, &[("content-type", "application/json")], &seen.body));
    let gateway = gateway::script(
        r#"
        route "POST /edit" { function(req) local t = req:json() t.seen = true req:set_json(t) end, to = "service" }
        route "POST /back" { function(req, next) local res = next() local t = res:json() t.seen = true res:set_json(t) end, to = "service" }
        route "POST /decode" { function(req) return { json = json.decode(req:text()) } end }
        route "POST /text" { function(req) local t = req:json() return { text = tostring(t.id) .. " " .. json.encode(t.id) } end }
        route "POST /same" { function(req) local t = req:json() return { json = { same = t.a == t.b, different = t.a == t.c } } end }
        "#,
    )
    .service("service", &service)
    .start();
    let json = [("content-type", "application/json")];
    for id in [
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551615",
        "123456789012345678901234567890",
        "9007199254740991",
    ] {
        let body = format!(r#"{{"id":{id},"list":[{id},1,1.5]}}"#);
        let edited = format!(r#"{{"id":{id},"list":[{id},1,1.5],"seen":true}}"#);
        assert_eq!(gateway.call("POST", "/edit", &json, &body).text(), edited);
        assert_eq!(gateway.call("POST", "/back", &json, &body).text(), edited);
        assert_eq!(gateway.call("POST", "/decode", &json, &body).text(), body);
        assert_eq!(gateway.call("POST", "/text", &json, &body).text(), format!("{id} {id}"));
    }
    let same =
        gateway.call("POST", "/same", &json, r#"{"a":9007199254740993,"b":9007199254740993,"c":9007199254740992}"#);
    assert_eq!(same.json(), serde_json::json!({ "same": true, "different": false }));
}

#[test]
fn odd_json_is_decoded_or_refused_never_bent() {
    let gateway = gateway::script(r#"route "POST /" { function(req) return { json = req:json() } end }"#).start();
    let json = [("content-type", "application/json")];
    for fine in [
        r#"{"a":null,"b":[],"c":{},"d":[null,1],"e":"\u0000é\ud83d\ude00"}"#,
        "[]",
        "{}",
        "null",
        "1",
        "\"x\"",
        "[[[]]]",
    ] {
        let answer = gateway.call("POST", "/", &json, fine).with(200);
        let (got, sent): (serde_json::Value, serde_json::Value) = (answer.json(), serde_json::from_str(fine).unwrap());
        assert_eq!(got, sent, "{fine}");
    }
    for bad in ["", "{", "[1,]", "{'a':1}", "NaN", "01", "\"\u{1}\"", "[1] x", r#""\ud800""#] {
        let answer = gateway.call("POST", "/", &json, bad);
        assert_eq!(answer.status, 400, "{bad:?}: {answer:?}");
    }
}
