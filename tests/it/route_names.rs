//! What a route names, and what people write instead: the hint says what was meant.

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";

/// Lists code, message and hint of each problem.
fn problems(text: &str) -> Vec<[String; 3]> {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", text);
    let document: serde_json::Value = serde_json::from_str(&env.run("check --format json").stdout).unwrap();
    let text = |problem: &serde_json::Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let all = document["problems"].as_array().unwrap().iter();
    all.map(|problem| ["code", "message", "hint"].map(|key| text(problem, key))).collect()
}

/// The hint to put a number in quotes led into the next error.
#[test]
fn a_number_that_is_wrong_in_quotes_too_has_a_hint() {
    let head = desired(&[ANA]);
    let told = |text: String| {
        let told = problems(&text);
        assert_eq!(told.len(), 1, "{text}{told:?}");
        told.into_iter().next().unwrap()
    };
    for (key, code, hint) in [
        ("default_route: [91]\n", "unknown-reference", "a route names users by their e-mail, not by number"),
        ("default_route: [91, hangup]\n", "unknown-reference", "a route names users by their e-mail, not by number"),
        (
            "default_route: [+4915112345678]\n",
            "unknown-reference",
            "a route names an outside number by its dialer: declare one with this number",
        ),
        ("country: 49\n", "unknown-country", "such as `DE`"),
        ("phones: { codecs: [711] }\n", "unknown-codec", ""),
        ("dialers: { mobile: { number: 4915112345678 } }\n", "invalid-number", "`+`, country code"),
    ] {
        let [found, message, said] = told(format!("{head}{key}"));
        assert!(found == code && said.contains(hint), "{key}{found}: {message}: {said}");
        assert!(!said.contains("put it in quotes"), "{key}{said}");
    }
    let [code, message, hint] = told(head.replace("ana@example.com", "91"));
    assert!(code == "invalid-email" && !hint.contains("quotes"), "{message}: {hint}");
    let [code, message, hint] = told(head.replace("tenant: acme", "tenant: 42"));
    assert!(!hint.contains("put it in quotes") && code != "wrong-type", "{code} {message}: {hint}");
    // In quotes it is right.
    let [code, _, hint] = told(head.replace("name: Ana", "name: 4711"));
    assert_eq!((code.as_str(), hint.as_str()), ("wrong-type", "put it in quotes: \"4711\""));
    // A dialer may be called like this.
    let text = format!("{head}dialers: {{ 91: {{ number: \"+4930123456\" }} }}\ndefault_route: [91]\n");
    assert_eq!(problems(&text), Vec::<[String; 3]>::new());
}

/// A user is named by the e-mail in any case; another way to write one is told which it is.
#[test]
fn a_user_in_a_route_is_found_or_named() {
    let head = desired(&["email: Ana@Example.com, name: Ana", "email: bo@example.com, name: Bo"]);
    let head = format!("{head}public_sip_host: pbx.example.com\n");
    for same in ["ana@example.com", "ANA@EXAMPLE.COM"] {
        assert_eq!(problems(&format!("{head}default_route: [{same}]\n")), Vec::<[String; 3]>::new(), "{same}");
    }
    for (written, hint) in [
        ("ana", "did you mean `ana@example.com`? a route names users by their e-mail"),
        ("Ana", "did you mean `ana@example.com`? a route names users by their e-mail"),
        ("Hangup", "did you mean `hangup`?"),
        ("BUSY", "did you mean `busy`?"),
        ("cy", "no dialer is declared"),
    ] {
        let told = problems(&format!("{head}default_route: [{written}]\n"));
        assert_eq!(told.len(), 1, "{written}: {told:?}");
        assert_eq!((told[0][0].as_str(), told[0][2].as_str()), ("unknown-reference", hint), "{written}");
    }
}
