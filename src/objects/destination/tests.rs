//! Who gets the calls to a user that nobody answers: what `check` says about such a list.

use crate::{desired::load_text, objects::Target};

/// Lists the problems of a file, each as `line:column code: message`, then the hint.
fn problems(text: &str) -> String {
    let loaded = load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{text}"));
    let lines = loaded.problems.into_iter().flat_map(|problem| {
        let place = problem.place.unwrap();
        let first = format!("{}:{} {}: {}", place.line, place.column, problem.code, problem.message);
        [Some(first), problem.hint.map(|hint| format!("  {hint}"))].into_iter().flatten()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A file in which Ana has this list.
fn of_ana(list: &str) -> String {
    let far = if list.contains("far") { ", far: { members: [\"+4930555003\"] }" } else { "" };
    format!(
        "users:\n  - {{ email: ana@example.com, name: Ana, no_answer: {list} }}\n  \
         - {{ email: bo@example.com, name: Bo, voicemail: true }}\n  - {{ id: lobby, name: Lobby }}\n\
         trunks: {{ carrier: {{ host: 198.51.100.7 }} }}\n\
         dialers: {{ desk: {{ number: \"+4930555001\", trunk: carrier }}, twilio: {{ number: \"+4930555002\" }} }}\n\
         groups: {{ sales: {{ members: [ana@example.com, bo@example.com] }}{far} }}\n\
         voicemail: {{ boxes: {{ info: {{ name: Info }} }} }}\n"
    )
}

#[test]
fn a_list_names_what_a_route_names_and_may_be_empty() {
    for list in [
        "[bo@example.com, lobby, desk, sales, { voicemail: bo@example.com }]",
        "[sales, info]",
        "[sales, { context: ivr, extension: s }]",
        "[{ extension: 100, context: main-menu_2.x }]",
        "[hangup]",
        "[busy]",
        "[]",
    ] {
        // Nobody comes from outside: a missing `public_sip_host` is no mistake.
        assert_eq!(problems(&of_ana(list)), "", "{list}");
    }
    let declared = load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{}", of_ana("[sales, busy]"))).declared;
    let users: Vec<_> = declared.unwrap().users.into_values().map(|user| user.no_answer).collect();
    assert_eq!(users, [Some([Target::Object("sales".parse().unwrap()), Target::Busy].into()), None, None]);
}

#[test]
fn the_own_phone_is_not_tried_again_and_nothing_behind_an_end() {
    insta::assert_snapshot!(problems(&of_ana("[Ana@example.com, hangup, sales]")), @r"
    4:54 duplicate-target: `ana@example.com` is tried twice: the user's own phone rings first
      remove it: `no_answer` lists who gets the call after that
    4:71 unreachable-route: no target after `hangup` is ever tried
      put it last
    ");
    insta::assert_snapshot!(problems(&of_ana("[bo@example.com, info, bo@example.com]")), @r"
    4:70 unreachable-route: no target after `info` is ever tried
      put it last
    4:76 duplicate-target: `bo@example.com` is tried twice
      keep one of them
    ");
}

#[test]
fn an_undeclared_name_is_reported_with_the_one_that_was_meant() {
    insta::assert_snapshot!(problems(&of_ana("[b@example.com, sale, lobbi, { voicemail: lobby }, 1001]")), @r"
    4:54 unknown-reference: no such user: `b@example.com`
      did you mean `bo@example.com`?
    4:69 unknown-reference: no such dialer, group, voicemail box or phone: `sale`
      did you mean `sales`?
    4:75 unknown-reference: no such dialer, group, voicemail box or phone: `lobbi`
      did you mean `lobby`?
    4:82 no-voicemail: `lobby` has no voicemail box
      set `voicemail: true` at the user, or `users: true` in `voicemail:`
    4:82 unreachable-route: no target after `voicemail:lobby` is ever tried
      put it last
    4:104 unknown-reference: no such dialer, group, voicemail box or phone: `1001`
      a route names users by their e-mail, not by number
    ");
}

#[test]
fn a_shared_box_that_is_named_as_that_of_a_user_is_reported() {
    insta::assert_snapshot!(problems(&of_ana("[{ voicemail: info }]")), @r"
    4:54 unknown-reference: no such user or phone: `info`
      `info` is a shared voicemail box: a route names it as `info` alone
    ");
}

/// A colleague's call does not come through Twilio.
#[test]
fn what_asterisk_cannot_reach_is_reported() {
    insta::assert_snapshot!(problems(&of_ana("[twilio, far, desk]")), @r"
    4:54 unreachable-dialer: a call from a phone cannot reach `twilio`: it has no trunk
      add `trunk:` to it; without a trunk, Asterisk cannot dial an outside number
    4:62 unreachable-dialer: a call from a phone cannot reach `far`: it has no trunk
      add `trunk:` to it; without a trunk, Asterisk cannot dial an outside number
    9:83 unreachable-dialer: a call that comes over a trunk does not ring +4930555003: the group has no trunk
      add `trunk:` to the group; without a trunk, Asterisk cannot dial an outside number
    ");
}

#[test]
fn a_list_is_no_longer_than_a_route() {
    let users: Vec<String> = (0..100).map(|n| format!("  - {{ email: u{n}@example.com, name: U }}\n")).collect();
    let users = users.concat();
    let all: Vec<String> = (0..100).map(|n| format!("u{n}@example.com")).collect();
    let file =
        |list: &[String]| format!("users:\n  - {{ id: lobby, name: L, no_answer: [{}] }}\n{users}", list.join(", "));
    assert_eq!(problems(&file(&all[1..])), "");
    insta::assert_snapshot!(problems(&file(&all)), @r"
    4:38 long-route: a call would be sent to more than 99 destinations in turn
      shorten this list or `no_answer` of its groups, or let the members of groups ring at once
    ");
}

/// A file with an extension of the operator's own dialplan as a destination of users, groups and rules.
fn with_own(list: &str) -> String {
    of_ana(list)
        + "inbound:\n  - { to: \"+15559876543\", route: [bo@example.com, { context: ivr, extension: s }] }\n\
           default_route: [{ context: day, extension: s }]\npublic_sip_host: pbx.example.com\n"
}

#[test]
fn an_extension_of_the_operators_dialplan_ends_the_chain() {
    assert_eq!(problems(&with_own("[{ context: ivr, extension: s }]")), "");
    insta::assert_snapshot!(problems(&of_ana("[{ context: ivr, extension: s }, sales]")), @r"
    4:54 unreachable-route: no target after `dialplan:s@ivr` is ever tried
      put it last
    ");
    let own = "members: [ana@example.com, bo@example.com], no_answer: [{ context: ivr, extension: s }]";
    let group = of_ana("[sales, bo@example.com]").replace("members: [ana@example.com, bo@example.com]", own);
    insta::assert_snapshot!(problems(&group), @r"
    4:54 unreachable-route: no target after `sales` is ever tried
      put it last: its own `no_answer` ends the call
    ");
}

#[test]
fn what_is_no_extension_of_a_dialplan_is_reported() {
    let lists = [
        "[{ context: ivr }]",
        "[{ extension: s }]",
        "[{ context: ivr, extension: s, voicemail: bo@example.com }]",
        "[{ context: ivr, exten: s }]",
        "[{ context: ivr, extension: _1XX }]",
        "[{ context: ivr, extension: \"s,1\" }]",
        "[{ context: ivr, extension: \"${EXTEN}\" }]",
        "[{ context: \"ivr,s\", extension: s }]",
        "[{ context: acme-internal, extension: 1000 }]",
        "[{ context: acme-voicemail, extension: 1 }]",
        "[{ context: acme-own, extension: s }]",
        "[{ context: ivr, extension: s }, { context: ivr, extension: s }]",
    ];
    let said = lists.map(|list| format!("{list}\n{}", problems(&of_ana(list))));
    insta::assert_snapshot!(said.join("\n"), @r#"
    [{ context: ivr }]
    4:54 invalid-target: this is not a destination for calls
      add `extension:`, such as `{ context: ivr, extension: s }`
    [{ extension: s }]
    4:54 invalid-target: this is not a destination for calls
      add `context:`, such as `{ context: ivr, extension: s }`
    [{ context: ivr, extension: s, voicemail: bo@example.com }]
    4:54 invalid-target: this is not a destination for calls
      a user's voicemail box and an extension of a dialplan are two destinations
    [{ context: ivr, exten: s }]
    4:54 invalid-target: this is not a destination for calls
      write the voicemail box of a user as `{ voicemail: ana@example.com }`, and an extension of your own dialplan as `{ context: ivr, extension: s }`
    [{ context: ivr, extension: _1XX }]
    4:54 invalid-target: `_1XX` is not an extension of a dialplan
      a call goes to one extension: write one that the pattern matches, such as `s` or `100`
    [{ context: ivr, extension: "s,1" }]
    4:54 invalid-target: `s,1` is not an extension of a dialplan
      use letters, digits and `_ . + - * #`, at most 79 characters, such as `s` or `100`
    [{ context: ivr, extension: "${EXTEN}" }]
    4:54 invalid-target: `${EXTEN}` is not an extension of a dialplan
      use letters, digits and `_ . + - * #`, at most 79 characters, such as `s` or `100`
    [{ context: "ivr,s", extension: s }]
    4:54 invalid-object-name: `ivr,s` cannot name an object in Asterisk's configuration
      use letters, digits and `_ . + -`, at most 70 characters
    [{ context: acme-internal, extension: 1000 }]
    4:54 generated-context: the context `acme-internal` is generated from this file
      name contexts of your own only, such as the one that leads to the carrier
    [{ context: acme-voicemail, extension: 1 }]
    4:54 generated-context: the context `acme-voicemail` is generated from this file
      name contexts of your own only, such as the one that leads to the carrier
    [{ context: acme-own, extension: s }]

    [{ context: ivr, extension: s }, { context: ivr, extension: s }]
    4:54 unreachable-route: no target after `dialplan:s@ivr` is ever tried
      put it last
    4:86 duplicate-target: `dialplan:s@ivr` is tried twice
      keep one of them
    "#);
}

/// A call through Twilio comes there by way of the host of the phones.
#[test]
fn an_extension_that_twilio_cannot_reach_is_reported() {
    let only = |list: &str| of_ana("[]") + &format!("default_route: [{list}]\n");
    insta::assert_snapshot!(problems(&only("{ context: ivr, extension: s }")), @r"
    9:30 unreachable-user: a call through Twilio cannot reach `ana@example.com`, and goes to the next target
      add `public_sip_host:`, the name under which the phones are reached from outside
    9:47 unreachable-user: a call through Twilio cannot reach `bo@example.com`, and goes to the next target
      add `public_sip_host:`, the name under which the phones are reached from outside
    11:17 unreachable-user: a call through Twilio cannot reach `dialplan:s@ivr`, and goes to the next target
      add `public_sip_host:`, the name under which the phones are reached from outside
    ");
    let host = "public_sip_host: pbx.example.com\n";
    assert_eq!(problems(&(only("{ context: ivr, extension: s }") + host)), "");
}

#[test]
fn the_host_must_have_the_extensions_that_are_named() {
    let loaded =
        load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{}", with_own("[{ context: ivr, extension: 9 }]")));
    let names = loaded.declared.unwrap().host_names;
    let lines: Vec<String> = names.into_iter().map(|(name, place)| format!("{}: {name}", place.line)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    13: context `day`
    12: context `ivr`
    13: extension `s` of the context `day`
    4: extension `9` of the context `ivr`
    12: extension `s` of the context `ivr`
    ");
}
