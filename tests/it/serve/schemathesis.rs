//! Whatever the `OpenAPI` document allows is taken, whatever it forbids is refused, and every answer is
//! what it says: Schemathesis makes requests from the document, with all its checks.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::{
    server::{Serve, token},
    webhook::provider::{applied, routes},
};
use crate::support::{TestEnv, tool};

/// All numbers there are, and no rails: what is refused for the file's sake is tested elsewhere.
const FILE: &str = "version: 1
tenant: acme
extensions: { range: 1-99999999 }
rails: { deletes: { max: 100000, percent: 100 }, relogins: { max: 100000, percent: 100 } }
users: []
";

#[test]
fn schemathesis_finds_nothing() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", FILE);
    env.run("apply").expect(0);
    // The call that the document has as its example.
    let call = "insert into calls (call_sid, tenant, first_event_at, status, asked_at)
                values ('CA1a2b3c4d5e6f708192a3b4c5d6e7f809', 'acme', now(), 'received', '{}')";
    env.sql().batch_execute(call).unwrap();
    let token = token(&env, "schemathesis", "read write apply calls");
    applied(&env, "acme", 1, &routes("+15559876543", &json!([{ "dialer": "dialfire" }, { "dialer": "fixed" }])));
    // Calls have lines of their own, which say otherwise how they ended.
    env.set("RECONCILE_LOG", "info,reconcile::serve::observe=debug");
    // What a signature is needed for is tested elsewhere.
    let serve = Serve::start(&env, "--insecure-skip-signature");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/serve/schemathesis");
    let output = Command::new(tool("LAB_SCHEMATHESIS"))
        .current_dir(env.path("work"))
        .env("SCHEMATHESIS_HOOKS", folder.join("hooks.py"))
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", serve.url), "--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"])
        .args(["--seed", "20261121", "--max-examples", "200", "--continue-on-failure"])
        .args(["--generation-database", "none", "--no-color"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // It got far enough to find something: all of the API was asked, users were made, and applied.
    assert!(
        said.contains("Selected: 15/15") && said.contains("Tested: 15") && said.contains("No issues found"),
        "{said}"
    );
    let log = serve.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let answered = |method, route, status| {
        let wanted = |line: &&Value| line["method"] == method && line["route"] == route && line["status"] == status;
        lines.iter().filter(wanted).count()
    };
    for (method, route, status) in [
        ("POST", "/users", 201),
        ("GET", "/users", 200),
        ("DELETE", "/users/{id}", 204),
        ("POST", "/apply", 200),
        ("POST", "/webhooks/twilio", 200),
        ("POST", "/webhooks/twilio/dial-result", 200),
        ("GET", "/calls", 200),
    ] {
        let count = answered(method, route, status);
        assert!(count >= 10, "{method} {route} was answered with {status} {count} times: {said}");
    }
    assert!(!log.contains("\"ERROR\""), "{log}");
}
