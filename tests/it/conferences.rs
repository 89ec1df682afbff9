//! Conference rooms on the real Asterisk: who comes in, and who does not.

use std::time::Duration;

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// How long a caller stays in a room.
const STAYS: Duration = Duration::from_secs(6);

/// A tenant with two users and these rooms.
fn tenant(slug: &str, rooms: &str, rest: &str) -> String {
    format!(
        "version: 1\ntenant: {slug}\nendpoint_names: tenant-extension\nextensions: {{ range: 1000-1999 }}\n\
         dialplan: {{ include: [outbound] }}\nrooms: {{ {rooms} }}\n{rest}\
         users:\n  - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
         - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n"
    )
}

fn apply(env: &mut TestEnv, slug: &str, file: &str) {
    let name = format!("{slug}.yaml");
    env.write(&name, file);
    env.set("RECONCILE_FILE", &name);
    env.run("apply").expect(0);
}

/// Who is in a room, by their channels without the number of the call.
fn inside(env: &TestEnv, room: &str) -> Vec<String> {
    let listed = env.ask(&format!("confbridge list {room}"));
    let channels = listed.lines().filter_map(|line| line.strip_prefix("PJSIP/"));
    let mut names: Vec<String> =
        channels.filter_map(|line| Some(line.split(' ').next()?.rsplit_once('-')?.0.to_owned())).collect();
    names.sort();
    names
}

#[test]
fn the_phones_and_the_callers_of_a_tenant_meet_and_another_tenants_do_not() {
    let mut env = TestEnv::with_asterisk();
    let rest =
        format!("trunks: {{ carrier: {{ host: 127.0.0.2 }} }}\ninbound: [{{ to: \"{DID}\", route: [board] }}]\n");
    apply(&mut env, "acme", &tenant("acme", "board: { name: Board, extension: 1800 }, lab: {}", &rest));
    let [ana, bo] = ["ana@example.com", "bo@example.com"].map(|user| Phone::of(&env, user));
    // The room of the other tenant has the same name and another number; one of its numbers is the same.
    apply(&mut env, "bolt", &tenant("bolt", "board: { extension: 1801 }", ""));
    let [stranger, other] = ["ana@example.com", "bo@example.com"].map(|user| Phone::of(&env, user));
    assert!(env.ask("core show hint 1800").contains("confbridge:acme_board"), "{}", env.ask("core show hint 1800"));
    let lamp = |state: &str| env.ask("core show hint 1800").contains(state);

    let calls = [ana.calls("1800", STAYS), bo.calls("1800", STAYS)];
    let from_outside = Phone::at(&env, "127.0.0.2").delivers_speech("+4917099999", DID, STAYS);
    until("all are in", || inside(&env, "acme_board") == ["acme-1000", "acme-1001", "acme-trunk-carrier"]);
    until("the lamp is lit", || lamp("State:InUse"));

    stranger.is_told("404", "1800");
    let of_stranger = other.calls("1801", Duration::from_secs(2));
    until("the other room has one", || inside(&env, "bolt_board") == ["bolt-1001"]);
    assert_eq!(inside(&env, "acme_board").len(), 3);
    of_stranger.ends_well();
    calls.into_iter().chain([from_outside]).for_each(|call| drop(call.ends_well()));
    until("the lamp is dark again", || lamp("State:Idle"));
    // Nobody dials a room that has no number, nor from outside one that no rule names.
    ana.is_told("404", "room_lab");
    let carrier = Phone::at(&env, "127.0.0.2");
    carrier.delivers_in_vain("404", "+4917099999", "room_lab");
    nothing_in_the_log(&env);
}

/// A provider that dials users by SIP reaches a room that a rule names, and a colleague's call that nobody answers comes
/// to one.
#[test]
fn a_room_is_reached_by_its_name_and_behind_a_phone_that_does_not_answer() {
    let mut env = TestEnv::with_asterisk();
    let rest = format!(
        "public_sip_host: 127.0.0.1\ntrunks: {{ carrier: {{ host: 127.0.0.2 }} }}\n\
         inbound: [{{ to: \"{DID}\", route: [bo@example.com, zoom_1] }}]\n"
    );
    let file = tenant("acme", "zoom_1: {}", &rest).replace("name: Bo,", "name: Bo, no_answer: [zoom_1],");
    apply(&mut env, "acme", &file);
    let ana = Phone::of(&env, "ana@example.com");
    let carrier = Phone::at(&env, "127.0.0.2");
    let by_name = carrier.delivers_speech("+4917099999", "room_zoom_1", STAYS);
    until("the first is in", || inside(&env, "acme_zoom_1").len() == 1);
    let by_rule = Phone::at(&env, "127.0.0.2").delivers_speech("+4917088888", DID, STAYS);
    // Bo has no phone that is registered.
    let colleague = ana.calls("1001", STAYS);
    until("all are in", || inside(&env, "acme_zoom_1") == ["acme-1000", "acme-trunk-carrier", "acme-trunk-carrier"]);
    for call in [by_name, by_rule, colleague] {
        call.ends_well();
    }
    nothing_in_the_log(&env);
}

#[test]
fn a_room_holds_so_many_callers() {
    let mut env = TestEnv::with_asterisk();
    apply(&mut env, "acme", &tenant("acme", "pair: { extension: 1800, max: 2 }", ""));
    let [ana, bo, second] = ["ana", "bo", "ana"].map(|user| Phone::of(&env, &format!("{user}@example.com")));
    let calls = [ana.calls("1800", STAYS), bo.calls("1800", STAYS)];
    until("both are in", || inside(&env, "acme_pair").len() == 2);
    let third = second.calls("1800", Duration::from_secs(2));
    until("the third is answered", || third.has_been_told("SIP/2.0 200"));
    assert_eq!(inside(&env, "acme_pair"), ["acme-1000", "acme-1001"]);
    for call in calls {
        call.ends_well();
    }
}
