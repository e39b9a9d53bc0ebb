//! The OpenAPI document against what is served, and the written documentation against it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::{RULES, ask, charge, get, save, start, until};

/// Every route of the document answers, and what it answers is what the document says.
#[test]
fn the_document_says_what_is_served() {
    let (folder, serve) = start(&[]);
    let id = charge(&serve, 1);
    serve.signal();
    save(
        folder.path(),
        &RULES.replace("never.happens", "payment.charge_card"),
    );
    until(&serve, "/api/v1/rules/silent/diff", |answer| {
        answer.status == 200
    });
    let document = get(&serve, "/api/v1/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    let mut seen = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let is_stream =
                operation["responses"]["200"]["content"]["text/event-stream"].is_object();
            if is_stream {
                continue;
            }
            seen += 1;
            let asked = path
                .replace("/rules/{id}", "/rules/silent")
                .replace("/traces/{id}", &format!("/traces/{id}"))
                .replace("{trace}", &id);
            let body = if method == "post" {
                "payment.charge_card"
            } else {
                ""
            };
            let answer = ask(&serve.api, &method.to_uppercase(), &asked, &[], body);
            assert_eq!(answer.status, 200, "{method} {asked}: {}", answer.text);
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            if schema.is_object() {
                validate(&document, schema, &answer.json(), path);
            }
        }
    }
    assert!(seen >= 10, "{seen} operations");
    let error = json!({"$ref": "#/components/schemas/ErrorBody"});
    validate(
        &document,
        &error,
        &get(&serve, "/api/v1/traces/x").json(),
        "an error",
    );
}

fn validate(document: &Value, schema: &Value, answer: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).expect("a schema");
    let wrong: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} in {answer}");
}

/// The table of `docs/api.md` has the routes of the document and no others.
#[test]
fn the_written_documentation_has_every_route() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let page = std::fs::read_to_string(page).expect("docs/api.md is there");
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split("` |").next()?.to_owned());
    let written: BTreeSet<String> = page
        .lines()
        .filter_map(cell)
        .filter(|cell| cell.contains(" /"))
        .flat_map(|cell| {
            let (method, paths) = cell.split_once(' ').expect("a method and paths");
            let paths = paths.split(", ").map(|path| path.trim_matches('`'));
            paths
                .map(|path| format!("{method} {path}"))
                .collect::<Vec<_>>()
        })
        .collect();
    let (_, document) = betrace::api::routes();
    let document = serde_json::to_value(document).expect("JSON");
    let served: BTreeSet<String> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods
                .keys()
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(written, served);
}
