//! `openapi` and `validate { openapi = … }`: routes, security, validation and examples out of a document.

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

const PETS: &str = r##"
openapi: 3.0.3
info: { title: Pets, version: "1" }
servers: [{ url: "https://pets.example.org/v1" }]
security: [{ key: [] }]
paths:
  /pets:
    get:
      operationId: listPets
      summary: All pets.
      security: []
      parameters:
        - { name: limit, in: query, schema: { type: integer, maximum: 50, default: 20 } }
        - { name: tag, in: query, style: form, explode: false, schema: { type: array, items: { type: string } } }
      responses:
        200: { description: ok, content: { application/json: { schema: { type: array, items: { $ref: "#/components/schemas/Pet" } }, example: [{ id: 1, name: Rex }] } } }
    post:
      operationId: addPet
      security: [{ key: [], sign: [] }, { basic: [] }]
      requestBody: { required: true, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } }
      responses: { 201: { description: made }, default: { description: no } }
  /pets/{pet-id}:
    parameters:
      - { name: pet-id, in: path, required: true, schema: { type: integer } }
    get:
      operationId: getPet
      responses:
        200: { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } }
        404: { description: none }
components:
  securitySchemes:
    key: { type: apiKey, in: header, name: x-key }
    sign: { type: apiKey, in: header, name: x-sign }
    basic: { type: http, scheme: basic }
  schemas:
    Pet:
      type: object
      required: [id, name]
      properties:
        id: { type: integer, readOnly: true }
        name: { type: string, minLength: 1 }
        owner: { type: string, nullable: true }
"##;

const SECURITY: &str = r#"
    local function has(name)
      return steps { function(req) if not req.headers[name] then reject(401, name .. " is missing") end end }
    end
    local security = { key = has "x-key", sign = has "x-sign", basic = has "authorization" }
"#;

#[test]
fn a_document_makes_the_routes() {
    let service = upstream::answers(|seen| {
        let body = if seen.target.contains("/pets/404") { r#"{"id":"x"}"# } else { r#"{"id":1,"name":"Rex"}"# };
        upstream::answer(200, &[("content-type", "application/json")], body)
    });
    let gateway = gateway::script(&format!(
        r#"
        {SECURITY}
        group "/v1" {{
          openapi "pets.yaml" {{
            function(req) req.headers["x-step"] = req.route.name .. type(req.query.limit) end,
            security = security,
            response = "reject",
            to = "service",
            operations = {{
              getPet = {{ function(req) req.headers["x-pet"] = type(req.params.pet_id) end, timeout = "3s" }},
              addPet = {{ function(req) if req.headers["x-full"] then reject(507) end end }},
            }},
          }},
        }}
        "#
    ))
    .file("pets.yaml", PETS)
    .service("service", &service)
    .start();
    // No key is asked for here.
    gateway.get("/v1/pets?tag=a,b").refused(502, "validate.response");
    assert_eq!(service.last().target, "/v1/pets?tag=a,b&limit=20");
    assert_eq!(service.last().header("x-step"), Some("listPetsnumber"));
    let calls = service.calls();
    gateway.get("/v1/pets?limit=51").refused(400, "validate.params");
    assert_eq!(gateway.get("/v1/pets/7").status, 401);
    let key = [("x-key", "1")];
    gateway.call("GET", "/v1/pets/x", &key, "").refused(400, "validate.params");
    gateway.get("/pets").refused(404, "route.none");
    assert_eq!(service.calls(), calls, "nothing of that reached the service");
    gateway.call("GET", "/v1/pets/7", &key, "").with(200);
    assert_eq!(service.last().header("x-pet"), Some("number"));
    gateway.call("GET", "/v1/pets/404", &key, "").refused(502, "validate.response");

    // One of two ways, the first of which asks for two things.
    let calls = service.calls();
    let post = |fields: &[(&str, &str)], body: &str| gateway.call("POST", "/v1/pets", &[JSON, fields].concat(), body);
    assert_eq!(post(&key, "{}").status, 401);
    assert_eq!(post(&[("x-sign", "1")], "{}").status, 401);
    post(&[("x-key", "1"), ("x-sign", "1")], "{}").refused(400, "validate.body");
    let basic = [("authorization", "Basic eDp5")];
    post(&basic, r#"{"name":""}"#).refused(400, "validate.body");
    post(&basic, "{").refused(400, "body.bad_json");
    post(&basic, "").refused(400, "validate.body");
    gateway.call("POST", "/v1/pets", &[basic[0], ("content-type", "text/plain")], "x").refused(415, "validate.type");
    assert_eq!(post(&[basic[0], ("x-full", "1")], r#"{"name":"Rex"}"#).status, 507);
    assert_eq!(service.calls(), calls, "nothing of that reached the service");
    post(&basic, r#"{"name":"Rex","owner":null}"#).with(200);
    assert_eq!(service.last().body, br#"{"name":"Rex","owner":null}"#);
    gateway.call("DELETE", "/v1/pets", &[], "").refused(405, "route.method");
}

#[test]
fn examples_answer_where_there_is_no_service_yet() {
    let gateway =
        gateway::script(r#"openapi "pets.yaml" { mock = true, security = false }"#).file("pets.yaml", PETS).start();
    let list = gateway.get("/pets").with(200);
    assert_eq!(
        (list.header("content-type"), list.json()),
        (Some("application/json"), serde_json::json!([{ "id": 1, "name": "Rex" }]))
    );
    assert_eq!(
        gateway.get("/pets/7").with(200).json(),
        serde_json::json!({ "id": 0, "name": "string", "owner": "string" })
    );
    gateway.call("POST", "/pets", JSON, r#"{"name":"Rex"}"#).with(201);
    gateway.call("POST", "/pets", JSON, r#"{"name":1}"#).refused(400, "validate.body");
}

#[test]
fn a_document_checks_whatever_passes_a_level() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        group "/v1" {
          validate { openapi = "pets.yaml", response = "log" },
          route "/{rest*}" { to = "service" },
        }
        "#,
    )
    .file("pets.yaml", PETS)
    .service("service", &service)
    .watch()
    .start();
    gateway.get("/v1/pets?limit=5").with(200);
    gateway.call("HEAD", "/v1/pets?limit=5", &[], "").with(200);
    let calls = service.calls();
    gateway.get("/v1/pets?limit=x").refused(400, "validate.params");
    gateway.get("/v1/pets/x").refused(400, "validate.params");
    gateway.get("/v1/cats").refused(404, "route.none");
    let method = gateway.call("DELETE", "/v1/pets", &[], "");
    method.refused(405, "route.method");
    assert_eq!(method.header("allow"), Some("GET, POST"));
    gateway.call("POST", "/v1/pets", JSON, r#"{"name":2}"#).refused(400, "validate.body");
    assert_eq!(service.calls(), calls);
    let before = gateway.generation();
    gateway.dir().write("pets.yaml", PETS.replace("maximum: 50", "maximum: 3"));
    wait::until("the document is taken over", || gateway.generation() > before);
    gateway.get("/v1/pets?limit=5").refused(400, "validate.params");
}

#[test]
fn a_document_in_several_files_is_one_and_each_of_them_is_watched() {
    let service = upstream::says("ok");
    let gateway = gateway::script(r#"openapi "api/main.yaml" { to = "service" }"#)
        .file(
            "api/main.yaml",
            r##"
openapi: 3.0.3
paths:
  /pets:
    post:
      requestBody: { required: true, content: { application/json: { schema: { $ref: "./schemas/pet.yaml#/Pet" } } } }
  /upload: { $ref: "../shared/upload.json" }
"##,
        )
        .file(
            "api/schemas/pet.yaml",
            "Pet: { type: object, required: [name], properties: { name: { type: string }, kind: { $ref: '#/Kind' }, friend: { $ref: '#/Pet' } } }\nKind: { type: string, nullable: true, default: dog }\n",
        )
        .file(
            "shared/upload.json",
            r#"{ "post": { "requestBody": { "required": true, "content": { "multipart/form-data": {
                "schema": { "type": "object", "required": ["name", "photo"], "properties": { "name": { "type": "string" }, "photo": { "type": "string" } } },
                "encoding": { "photo": { "contentType": "image/*" } } } } } } }"#,
        )
        .service("service", &service)
        .watch()
        .start();
    let post = |body: &str| gateway.call("POST", "/pets", JSON, body);
    post(r#"{ "name": "Rex", "friend": { "name": "Max", "kind": null } }"#).with(200);
    assert_eq!(
        String::from_utf8_lossy(&service.last().body),
        r#"{"name":"Rex","friend":{"name":"Max","kind":null},"kind":"dog"}"#,
        "the default is filled in, through a reference into another file"
    );
    let refused = post(r#"{ "name": "Rex", "friend": { "kind": 1 } }"#);
    refused.refused(400, "validate.body");
    assert!(refused.text().contains("/friend"), "{}", refused.text());

    let form = |media: &str, name: &str| {
        let body = format!(
            "--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nRex\r\n--b\r\ncontent-disposition: form-data; name=\"photo\"; filename=\"a\"\r\ncontent-type: {media}\r\n\r\n\u{1}\u{2}\r\n--b--\r\n"
        );
        gateway.call("POST", "/upload", &[("content-type", "multipart/form-data; boundary=b")], body)
    };
    form("image/png", "name").with(200);
    assert!(service.last().body.starts_with(b"--b\r\n"), "what was checked goes on as it came");
    let calls = service.calls();
    form("text/html", "name").refused(400, "validate.body");
    form("image/png", "nom").refused(400, "validate.body");
    let broken =
        gateway.call("POST", "/upload", &[("content-type", "multipart/form-data; boundary=b")], "--b\r\nbroken");
    broken.refused(400, "body.bad_form");
    assert_eq!(service.calls(), calls, "what is refused reaches nobody");

    gateway.dir().write("api/schemas/pet.yaml", "Pet: { type: object, required: [name, age] }\n");
    wait::until("the change of a file it refers to is live", || post(r#"{ "name": "Rex" }"#).status == 400);
    gateway.dir().write("shared/upload.json", r#"{ "post": { "requestBody": { "content": { "text/plain": {} } } } }"#);
    wait::until("and of another", || form("image/png", "name").status == 415);
}
