//! Which menus a file makes, and how calls to them go.

use super::Menu;
use crate::{
    model::Node,
    objects::{
        Target,
        tests::{name, problems, routes},
    },
};

#[test]
fn a_menu_has_a_prompt_and_keys_and_the_rest_has_defaults() {
    let routes = routes(
        "menus:\n  main: { prompt: acme/welcome, digits: { 1: [lobby], \"#\": [hangup] } }\n  \
         more: { extension: 1300, prompt: beep, digits: { 0: [main] }, wait: 60s, tries: 1, otherwise: [busy] }\n",
    );
    let main = &routes.menus[&name("main")];
    let digits = [("#", Target::Hangup), ("1", Target::User(crate::model::UserKey::of("lobby")))];
    let digits = digits.map(|(key, target)| (key.parse().unwrap(), vec![target])).into();
    let expected =
        Menu { extension: None, prompt: "acme/welcome".parse().unwrap(), digits, wait: 5, tries: 3, otherwise: vec![] };
    assert_eq!(*main, expected);
    let more = &routes.menus[&name("more")];
    assert_eq!((more.wait, more.tries, &more.otherwise[..]), (60, 1, &[Target::Busy][..]));
    let numbered: Vec<_> = routes.numbered().into_iter().map(|one| (one.number.number(), one.chain.0)).collect();
    assert_eq!(numbered, [(1300, vec![Node::Menu(name("more"))])]);
}

#[test]
fn a_menu_ends_a_chain() {
    insta::assert_snapshot!(problems(
        "public_sip_host: pbx.example.com\nmenus: { main: { prompt: beep, digits: { 1: [lobby, main, ana@example.com] } } }\n\
         groups: { sales: { members: [lobby], no_answer: [main] } }\ndefault_route: [sales, lobby]\n"
    ), @r"
    7:53 unreachable-route: no target after `main` is ever tried
      put it last
    9:17 unreachable-route: no target after `sales` is ever tried
      put it last: its own `no_answer` ends the call
    ");
}

#[test]
fn keys_prompts_and_times_are_checked() {
    insta::assert_snapshot!(problems(
        "menus:\n  Main: { prompt: beep, digits: { 1: [lobby] } }\n  \
         a: { prompt: ../etc/passwd, digits: { 1: [lobby] } }\n  \
         b: { prompt: beep.wav, digits: { 10: [lobby], i: [lobby], _X: [lobby] } }\n  \
         c: { prompt: beep, digits: {} }\n  \
         d: { prompt: beep, digits: { 1: [] }, wait: 61s, tries: 0 }\n  \
         e: { prompt: \"a&b\", digits: { 1: [nosuch] }, wait: 5 }\n  \
         f: { digits: { 1: [hangup] } }\n  \
         lobby: { prompt: beep, digits: { 1: [hangup] } }\n"
    ), @r##"
    5:11 duplicate-name: `lobby` is a phone and a menu
      rename one of them: a route that names it could mean either; upper and lower case do not matter
    7:3 invalid-object-name: a menu cannot be called `Main`
      use lower-case letters, digits and `_`, starting with a letter, at most 40 characters
    8:16 invalid-prompt: `../etc/passwd` is not a prompt
      write its path below the folder `sounds`, without language and ending, such as `acme/welcome`: letters, digits and `_ - /`, at most 100 characters
    9:16 invalid-prompt: `beep.wav` is not a prompt
      write its path below the folder `sounds`, without language and ending, such as `acme/welcome`: letters, digits and `_ - /`, at most 100 characters
    9:36 invalid-digit: `10` is not a key of a phone
      write one digit, `"*"` or `"#"`
    9:49 invalid-digit: `i` is not a key of a phone
      write one digit, `"*"` or `"#"`
    9:61 invalid-digit: `_X` is not a key of a phone
      write one digit, `"*"` or `"#"`
    10:30 empty-route: the menu `c` has no digits
      list at least one, such as `1: [sales]`
    11:35 empty-route: the list of targets is empty
      name at least one destination; `[hangup]` ends the call
    11:47 invalid-wait: `61s` is not a time to wait
      write whole seconds with their unit, from `1s` to `60s`, such as `5s`
    11:59 out-of-bounds: a prompt is not played 0 times
      `tries` goes from 1 to 10
    12:16 invalid-prompt: `a&b` is not a prompt
      write its path below the folder `sounds`, without language and ending, such as `acme/welcome`: letters, digits and `_ - /`, at most 100 characters
    12:37 unknown-reference: no such dialer, menu or phone: `nosuch`
      declared are: Main, a, b, c, d, e, f, lobby, lobby
    12:54 invalid-wait: `5` is not a time to wait
      write whole seconds with their unit, from `1s` to `60s`, such as `5s`
    13:6 missing-key: the key `prompt` is missing
      add `prompt:`
    "##);
}

/// The parser drops the first of two equal numbers.
#[test]
fn a_key_that_is_given_twice_is_reported() {
    let twice = |digits: &str| problems(&format!("menus: {{ a: {{ prompt: beep, digits: {{ {digits} }} }} }}\n"));
    insta::assert_snapshot!(twice("1: [lobby], 2: [busy], 1: [hangup]"), @r"
    6:62 duplicate-key: a number is given twice as a key of one mapping
      keep one of them
    ");
    insta::assert_snapshot!(twice("1: [lobby], \"1\": [hangup]"), @r"
    6:51 duplicate-key: the key `1` is given twice
      keep one of them
    ");
    assert_eq!(twice("1: [lobby], 2: [busy]"), "");
}

/// A caller may go round by pressing keys. A caller who presses nothing would go round for ever.
#[test]
fn a_call_does_not_come_back_by_itself() {
    assert_eq!(
        problems(
            "menus:\n  a: { prompt: beep, digits: { 1: [b], 0: [a] } }\n  b: { prompt: beep, digits: { 1: [a] } }\n"
        ),
        ""
    );
    insta::assert_snapshot!(problems(
        "menus:\n  a: { prompt: beep, digits: { 1: [hangup] }, otherwise: [b] }\n  \
         b: { prompt: beep, digits: { 1: [hangup] }, otherwise: [sales] }\n  \
         c: { prompt: beep, digits: { 1: [hangup] }, otherwise: [c] }\n  \
         d: { prompt: beep, digits: { 1: [hangup] }, otherwise: [a] }\n\
         groups: { sales: { members: [lobby], no_answer: [a] } }\n"
    ), @r"
    7:3 menu-loop: a call to the menu `a` comes back to it although the caller presses nothing
      change `otherwise`, or `no_answer` of the group that it leads to, so that it does not lead back
    8:3 menu-loop: a call to the menu `b` comes back to it although the caller presses nothing
      change `otherwise`, or `no_answer` of the group that it leads to, so that it does not lead back
    9:3 menu-loop: a call to the menu `c` comes back to it although the caller presses nothing
      change `otherwise`, or `no_answer` of the group that it leads to, so that it does not lead back
    ");
}

#[test]
fn what_asterisk_cannot_reach_from_a_menu_is_reported() {
    insta::assert_snapshot!(problems(
        "public_sip_host: pbx.example.com\ndialers: { twilio: { number: \"+4930555002\" } }\n\
         menus: { main: { prompt: beep, digits: { 1: [twilio] } } }\ndefault_route: [main]\n"
    ), @r"
    8:46 unreachable-dialer: a call from a menu cannot reach `twilio`: it has no trunk
      add `trunk:` to it; without a trunk, Asterisk cannot dial an outside number
    ");
}

#[test]
fn a_menu_that_twilio_cannot_reach_is_reported() {
    insta::assert_snapshot!(
        problems("menus: { main: { prompt: beep, digits: { 1: [lobby] } } }\ndefault_route: [main]\n"), @r"
        7:17 unreachable-user: a call through Twilio cannot reach `main`, and goes to the next target
          add `public_sip_host:`, the name under which the phones are reached from outside
        ");
    insta::assert_snapshot!(problems("menus: { main: { prompt: beep, digits: { 1: [lobby] } } }\ndefault_route: [mian]\n"), @r"
    7:17 unknown-reference: no such dialer, menu or phone: `mian`
      did you mean `main`?
    ");
}
