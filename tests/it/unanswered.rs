//! Users who say who gets the calls to their extension that nobody answers, on the real Asterisk: SIPp plays the phones.

use std::{fs, time::Duration};

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
    voicemail::registers,
};

/// A company whose users have these keys, besides address, name and number.
fn company(ana: &str, bo: &str, cy: &str) -> String {
    format!(
        "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999 }}\nvoicemail: {{ users: true }}\n\
         dialplan: {{ include: [outbound] }}\n\
         groups:\n  \
           sales: {{ members: [ana@example.com], time: 5s, extension: 1500 }}\n  \
           night: {{ members: [ana@example.com], time: 5s, extension: 1501, no_answer: [{target}] }}\nusers:\n  \
           - {{ email: ana@example.com, name: Ana, extension: 1000{ana} }}\n  \
           - {{ email: bo@example.com, name: Bo, extension: 1001{bo} }}\n  \
           - {{ {cy}, name: Cy, extension: 1002 }}\n",
        target = cy.split([' ', ',']).nth(1).unwrap_or_default(),
    )
}

const CY: &str = "email: cy@example.com";
const LIST: &str = ", no_answer: [cy@example.com, { voicemail: ana@example.com }]";

/// Applies a file. Phones then ring for a shorter time, which no key says, and who is unplugged does not become
/// unreachable.
fn run(env: &TestEnv, file: &str) {
    env.write("pbx.yaml", file);
    env.run("apply").expect(0);
    for (path, line, instead) in [
        ("extensions.d/acme/generated_routing.conf", "1(,30)", "1(,3)"),
        ("pjsip.d/acme/generated_endpoints.conf", "qualify_frequency = 60", "qualify_frequency = 0"),
    ] {
        let text = fs::read_to_string(env.etc(path)).expect("a file");
        assert!(text.contains(line), "{text}");
        fs::write(env.etc(path), text.replace(line, instead)).expect("a file");
    }
    env.ask("module reload res_pjsip.so");
    env.ask("dialplan reload");
    until("the dialplan is loaded", || env.ask("dialplan show acme-ring").contains(",3)"));
}

#[test]
fn the_list_of_a_user_gets_unanswered_calls() {
    let env = TestEnv::with_asterisk();
    run(&env, &company(LIST, ", no_answer: []", CY));
    let [ana, bo, cy] = ["ana@example.com", "bo@example.com", "cy@example.com"].map(|user| Phone::of(&env, user));
    bo.registers();
    registers(&cy);

    // No phone is registered.
    let answering = cy.picks_up();
    bo.reaches("1000");
    let answered = answering.unplug();
    assert!(answered.contains("From: \"Bo\" <sip:1001@"), "{answered}");
    assert_eq!(answered.lines().count(), 1, "{answered}");

    // Busy, turned away, and nobody there.
    registers(&ana);
    let (answering, busy) = (cy.picks_up(), ana.is_busy());
    bo.reaches("1000");
    busy.unplug();
    let ringing = ana.rings();
    let call = bo.calls("1000", Duration::from_millis(100));
    until("it rings", || ringing.log().contains("INVITE "));
    ana.turns_away(&ringing);
    call.ends_well();
    ringing.unplug();
    let ringing = ana.is_let_go();
    bo.reaches("1000");
    assert!(ringing.unplug().contains("let go"));
    assert_eq!(answering.unplug().lines().count(), 3);

    // The phone that calls does not ring: the next one is the box.
    ana.unregisters();
    let (own, calling) = (cy.picks_up(), Phone::of(&env, "cy@example.com"));
    calling.reaches("1000");
    calling.is_told("480", "1501");
    assert_eq!(own.unplug(), "");

    // A group that rings Ana's phone does not come to her list.
    bo.is_told("480", "1500");

    // An empty list ends the call, although there is a box. Who has none comes to the own box, as ever.
    bo.unregisters();
    cy.is_told("480", "1001");
    bo.registers();
    cy.unregisters();
    bo.reaches("1002");
    let boxes = || -> Vec<String> {
        let log = fs::read_to_string(env.path("asterisk/log/full")).expect("a log");
        let begun = log.lines().filter_map(|line| line.split_once("@acme-voicemail:1]")?.0.rsplit_once('['));
        begun.map(|(_, number)| number.to_owned()).collect()
    };
    until("both boxes are reached", || boxes().len() == 2);
    assert_eq!(boxes(), ["1", "3"]);
    nothing_in_the_log(&env);
}

/// What a row holds of a user beside name and number, and when it was written.
fn row(env: &TestEnv, email: &str) -> (String, String) {
    let statement = "select phone::text, updated_at::text from users where email = $1";
    let row = env.sql().query_one(statement, &[&email]).expect("a row");
    (row.get(0), row.get(1))
}

#[test]
fn a_renamed_target_changes_no_row_of_those_who_name_it() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &company(LIST, "", CY));
    env.run("apply --no-reload").expect(0);
    let before = row(&env, "ana@example.com");
    let cy: String = env.sql().query_one("select id::text from users where name = 'Cy'", &[]).expect("a row").get(0);
    assert!(before.0.contains(&format!(r#"{{"user": "{cy}"}}"#)) && !before.0.contains('@'), "{}", before.0);
    let files = || ["extensions.d/acme/generated_routing.conf"].map(|path| fs::read_to_string(env.etc(path)).unwrap());
    let dialplan = files();

    let list = LIST.replace("cy@", "kim@");
    env.write("pbx.yaml", &company(&list, "", "email: kim@example.com, previously: cy@example.com"));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("  > kim@example.com  was cy@example.com; keeps extension 1002"), "{plan}");
    assert!(!plan.contains("ana@example.com  "), "{plan}");
    env.run("apply --no-reload").expect(0);
    assert_eq!(row(&env, "ana@example.com"), before);
    assert_eq!(files(), dialplan);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);

    // Another secret leaves the list alone.
    env.run("secret rotate ana@example.com").expect(0);
    assert_eq!(row(&env, "ana@example.com").0, before.0);
    env.run("apply --no-reload").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);

    // A list without one of its users is damaged, and only that row is named.
    let damaged = before.0.replace(&cy, "00000000-0000-0000-0000-000000000001");
    let put = |text: &str| {
        let statement = "update users set phone = $1::text::jsonb where email = 'ana@example.com'";
        assert_eq!(env.sql().execute(statement, &[&text]).expect("a statement"), 1);
    };
    put(&damaged);
    let refused = env.run("plan --no-asterisk").expect(1).stderr;
    assert!(refused.contains("the recorded phone of `ana@example.com` cannot be read"), "{refused}");
    assert!(refused.contains("is no user's row") && refused.contains("update users set phone = '{}'"), "{refused}");
    put("{}");
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    let line = "  ~ ana@example.com  no_answer (none) -> kim@example.com, then voicemail:ana@example.com";
    assert!(plan.contains(line), "{plan}");
    env.run("apply --no-reload").expect(0);
    assert_eq!(row(&env, "ana@example.com").0, before.0);
}
