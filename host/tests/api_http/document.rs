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

/// What OpenAPI 3.1 asks of a document beyond its shape: unique operation ids and parameters, each part of a path a
/// parameter that is required, a description for each response, and nothing referred to that is not there.
#[test]
fn the_document_is_valid() {
    let (_, document) = betrace::api::routes();
    let document = serde_json::to_value(document).expect("JSON");
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|v| v.starts_with("3.1."))
    );
    for field in ["title", "version"] {
        assert!(document["info"][field].is_string(), "{field}");
    }
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let what = format!("{method} {path}");
            let id = operation["operationId"].as_str().expect("an operation id");
            assert!(ids.insert(id), "{what}: `{id}` is there twice");
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
            let none = Vec::new();
            let given = operation["parameters"].as_array().unwrap_or(&none);
            let mut parameters = BTreeSet::new();
            for parameter in given {
                let [name, place] = ["name", "in"].map(|f| parameter[f].as_str().expect("text"));
                assert!(parameters.insert((name, place)), "{what}: {name} twice");
                assert!(parameter["schema"].is_object(), "{what}: {name}");
                let is_required = parameter["required"] == json!(true);
                assert!(is_required || place != "path", "{what}: {name}");
            }
            let wanted: BTreeSet<&str> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            let in_path = parameters.iter().filter(|(_, place)| *place == "path");
            assert_eq!(
                in_path.map(|(name, _)| *name).collect::<BTreeSet<_>>(),
                wanted,
                "{what}"
            );
            for (status, response) in operation["responses"].as_object().expect("responses") {
                assert!(response["description"].is_string(), "{what}: {status}");
            }
        }
    }
    let mut referred = BTreeSet::new();
    references(&document, &mut referred);
    assert!(!referred.is_empty());
    for reference in referred {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn references<'a>(value: &'a Value, out: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            out.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| references(value, out));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, out)),
        _ => {}
    }
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
