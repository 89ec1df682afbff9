//! Mistakes that people make: each has a documented code, and its hint says what to write.

use super::support::{Outcome, TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";

fn check(text: &str) -> Outcome {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", text);
    env.run("check")
}

/// Lists code, message and hint of each problem.
fn problems(text: &str) -> Vec<[String; 3]> {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", text);
    let document: serde_json::Value = serde_json::from_str(&env.run("check --format json").stdout).unwrap();
    let text = |problem: &serde_json::Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let all = document["problems"].as_array().unwrap().iter();
    all.map(|problem| ["code", "message", "hint"].map(|key| text(problem, key))).collect()
}

/// YAML takes a telephone number without quotes for a number, and drops its `+`.
#[test]
fn a_telephone_number_without_quotes_is_quoted_with_its_plus() {
    let told = problems(
        &(desired(&[ANA])
            + "dialers:\n  mobile: { number: +4915112345678, caller_id: +15551234567 }\n\
               inbound:\n  - { to: +15559876543, from: [\"+49*\"], route: [mobile] }\n"),
    );
    assert_eq!(told.len(), 3, "{told:?}");
    for ([code, message, hint], number) in told.iter().zip(["+4915112345678", "+15551234567", "+15559876543"]) {
        assert_eq!(code, "wrong-type");
        assert!(message.ends_with(&format!("expected here, found the number `{number}`")), "{message}");
        assert_eq!(*hint, format!("put it in quotes: \"{number}\""));
    }
}

/// The hint to put a number in quotes led into the next error.
#[test]
fn a_number_that_is_wrong_in_quotes_too_is_told_what_to_write() {
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

/// A secret that was pasted into the file is never quoted, if it is a number either.
#[test]
fn a_secret_that_is_a_number_is_not_quoted() {
    for source in ["{ env: 4711471147 }", "{ file: +4711471147 }", "4711471147", "[4711471147]"] {
        let outcome = check(&desired(&[&format!("{ANA}, secret: {source}")])).expect(65);
        assert!(!outcome.text().contains("4711"), "{}", outcome.text());
    }
}

#[test]
fn values_of_the_wrong_type_have_a_documented_code() {
    for dialer in ["number: [1]", "number: true", "number: 1.5", "sip: 4711", "number: { env: 1 }", "number: { x: 1 }"]
    {
        let told = problems(&(desired(&[ANA]) + &format!("dialers: {{ mobile: {{ {dialer} }} }}\n")));
        let codes: Vec<&str> = told.iter().map(|[code, ..]| code.as_str()).collect();
        assert!(matches!(codes[..], ["wrong-type" | "invalid-number" | "invalid-sip"]), "{dialer}: {told:?}");
        assert!(!told[0][1].contains("invalid type"), "{told:?}");
    }
}

#[test]
fn leading_zeros_are_told_with_the_number_to_write() {
    let pinned = problems(&desired(&["email: ana@example.com, name: Ana, extension: 01010"]));
    let [[code, message, hint]] = &pinned[..] else { panic!("{pinned:?}") };
    assert_eq!((code.as_str(), message.as_str()), ("invalid-extension", "`01010` is not an extension"));
    assert!(hint.contains("write `1010`"), "{hint}");
}

#[test]
fn addresses_with_other_letters_are_told_the_way_out() {
    for (email, way) in [
        ("ana@müller.example", "write the domain `müller.example` in its ASCII form, which begins with `xn--`"),
        ("jörg@example.com", "declare an ASCII alias"),
        ("\"\\u200eana@example.com\"", "remove the invisible character U+200E"),
    ] {
        let told = problems(&desired(&[&format!("email: {email}, name: Ana")]));
        let [[code, _, hint]] = &told[..] else { panic!("{told:?}") };
        assert_eq!(code, "invalid-email");
        assert!(hint.contains(way), "{hint}");
    }
}

/// Programs that contacts are copied from put invisible marks around a name.
#[test]
fn marks_of_text_direction_around_a_name_are_dropped() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: \"\\u200e Ana \\u200f\""]));
    env.run("sync").expect(0);
    assert!(env.run("users").expect(0).stdout.ends_with("  Ana\n"));
    let inside = problems(&desired(&["email: ana@example.com, name: \"A\\u200ena\""]));
    assert_eq!(inside[0][0], "invalid-name");
}

/// A file whose name ends in upper case was passed over, and its users with it.
#[test]
fn files_whose_names_end_in_upper_case_are_read() {
    let env = TestEnv::embedded();
    env.write("phones/a.yaml", &desired(&[ANA]));
    env.write("phones/b.YAML", "users:\n  - { email: bo@example.com, name: Bo }\n");
    env.write("phones/c.Yml", "users:\n  - { email: cy@example.com, name: Cy }\n");
    assert_eq!(env.run("check -f phones").expect(0).stdout, "phones: valid, 3 users\n");
}

const ROUTED: &str = "inbound:\n  - { to: \"+15559876543\", route: [ana@example.com] }\n  \
                      - { to: \"+15559876544\", route: [bo@example.com, ana@example.com] }\n";
const TRUNK: &str = "trunks: { carrier: { host: 198.51.100.7 } }\n";

fn codes(text: &str) -> Vec<String> {
    problems(text).into_iter().map(|[code, ..]| code).collect()
}

/// Twilio has a part if there is no trunk, or a dialer that no trunk leads to.
#[test]
fn only_those_who_have_twilio_are_warned_of_it() {
    let users = desired(&[ANA, "email: bo@example.com, name: Bo"]) + ROUTED;
    let dialer = |more: &str| format!("dialers: {{ mobile: {{ number: \"+4915112345678\"{more} }} }}\n");
    assert_eq!(codes(&(users.clone() + TRUNK)), [""; 0], "calls come by the trunk alone");
    assert_eq!(codes(&(users.clone() + TRUNK + &dialer(", trunk: carrier"))), [""; 0]);
    let warned = ["unreachable-user", "unreachable-user"];
    assert_eq!(codes(&users), warned, "no trunk");
    assert_eq!(codes(&(users.clone() + TRUNK + &dialer(""))), warned, "a dialer for Twilio alone");
    assert_eq!(codes(&(users + "public_sip_host: sip.example.com\n")), [""; 0]);
}

/// `ana` is in two routes: one warning, which shows both places.
#[test]
fn a_warning_is_given_once() {
    let told = problems(&(desired(&[ANA, "email: bo@example.com, name: Bo"]) + ROUTED));
    let about = |user: &str| told.iter().filter(|[_, message, _]| message.contains(&format!("`{user}@"))).count();
    assert_eq!((about("ana"), about("bo"), told.len()), (1, 1, 2), "{told:?}");
    assert!(told.iter().any(|[_, message, _]| message.ends_with("; also at one other place")), "{told:?}");
}

#[test]
fn many_warnings_of_a_kind_are_one_with_their_number() {
    let name = "x".repeat(90);
    let users: Vec<String> = (0..500).map(|n| format!("email: u{n}@example.com, name: {n}{name}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let outcome = check(&desired(&users)).expect(0);
    assert_eq!(outcome.stderr.matches("warning[long-name]").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("; 499 more of this kind"), "{}", outcome.stderr);
    assert!(outcome.stderr.matches("the same here").count() == 3, "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "pbx.yaml: valid, 500 users, 1 warning\n");
    let few = check(&desired(&users[..3])).expect(0);
    assert_eq!(few.stderr.matches("warning[long-name]").count(), 3, "{}", few.stderr);
}
