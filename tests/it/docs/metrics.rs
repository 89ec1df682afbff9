//! The page of metrics is what a server reports that has had something of each kind.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{compare_generated, table};
use crate::{
    serve::server::{Serve, token},
    support::{TestEnv, desired},
};

/// What is reported of one metric.
#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    /// The names of its labels, in the order of its first sample.
    labels: Vec<String>,
}

/// Reads what a server reports.
fn collect(metrics: &mut BTreeMap<String, Metric>, text: &str) {
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.trim_end_matches('.').clone_into(&mut metrics.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut metrics.entry(name.to_owned()).or_default().kind);
        } else if let Some((name, labels)) = line.split_once('{') {
            let family = metrics.iter_mut().rfind(|(family, _)| name.starts_with(family.as_str()));
            let labels = labels.split_once('}').unwrap().0.split("\",");
            let labels = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            if let Some((_, metric)) = family.filter(|(_, metric)| metric.labels.is_empty()) {
                metric.labels = labels.filter(|label| label != "le").collect();
            }
        }
    }
}

#[test]
fn the_page_of_metrics_is_what_a_server_reports() {
    let mut env = TestEnv::with_asterisk();
    let inbound = "trunks:\n  carrier: { host: 127.0.0.1, register: true, username: acme, realm: carrier, secret: { env: TRUNK_SECRET } }\n\
                   dialers:\n  desk: { number: \"+4930555001\", trunk: carrier }\n  mobile: { number: \"+4930555002\" }\n\
                   inbound:\n  - { to: \"+15559876543\", route: [desk, mobile] }\ndefault_route: [desk]\n";
    env.set("TRUNK_SECRET", "a-secret-of-the-carrier");
    env.set("TWILIO_AUTH_TOKEN", "example");
    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + inbound));
    env.run("apply").expect(0);
    let token = token(&env, "monitor", "read");
    let mut metrics = BTreeMap::new();
    for args in ["", "--insecure-skip-signature"] {
        let serve = Serve::start(&env, args);
        let twilio = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
        let call =
            b"CallSid=CA00000000000000000000000000000001&From=%2B15550001111&To=%2B15559876543&DialCallStatus=busy";
        twilio.send("POST", "/webhooks/twilio", Some(call));
        twilio.send("POST", "/webhooks/twilio/dial-result?tenant=acme&step=0&target=desk", Some(call));
        // The first scrape begins the look at the host.
        let until = Instant::now() + Duration::from_mins(1);
        let text = loop {
            let text = serve.client(&token).get("/metrics").expect(200).text;
            if text.contains("reconcile_in_step{") {
                break text;
            }
            assert!(Instant::now() < until, "{text}");
            std::thread::sleep(Duration::from_millis(50));
        };
        collect(&mut metrics, &text);
    }
    // Prometheus adds `_total` to counters.
    let rows = metrics.iter().map(|(name, metric)| {
        let suffix = if metric.kind == "counter" { "_total" } else { "" };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        vec![format!("`{name}{suffix}`"), metric.kind.clone(), labels.join(", "), metric.help.clone()]
    });
    compare_generated("docs/reference/metrics.md", "metrics", &table(&["metric", "type", "labels", "meaning"], rows));
    // What the source registers was there.
    let mut registered = 0;
    super::reference::sources(&mut |_, text| {
        for call in [".register(\"", "gauge(registry, \"", "gauge(&mut registry, \""] {
            for name in text.split(call).skip(1).filter_map(|rest| rest.split('"').next()) {
                registered += 1;
                assert!(metrics.contains_key(&format!("reconcile_{name}")), "{name} was not reported");
            }
        }
    });
    assert!(registered > 40, "{registered} metrics were found in the source");
}
