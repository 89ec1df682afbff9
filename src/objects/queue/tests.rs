//! Which queues a file makes, and how calls to them go.

use super::{Announcement, Queue, QueueStrategy};
use crate::{
    model::{Node, UserKey},
    objects::{
        Target,
        tests::{name, problems, routes},
    },
};

#[test]
fn a_queue_has_members_and_the_rest_has_defaults() {
    let routes = routes(
        "queues:\n  few: { members: [lobby] }\n  support: { extension: 1200, members: [ana@example.com, lobby], strategy: \
         fewest-calls, ring: 20s, wrap_up: 1m, max_callers: 3, timeout: { after: 5m, to: [few] }, empty: [lobby], full: \
         [busy], announce: { position: 60s, every: { prompt: acme/wait, each: 45s } } }\n",
    );
    let defaults = Queue {
        extension: None,
        members: vec![UserKey::of("lobby")],
        strategy: QueueStrategy::RoundRobin,
        ring: 15,
        wrap_up: 0,
        max_callers: None,
        timeout: None,
        late: vec![],
        empty: vec![],
        full: vec![],
        position: None,
        every: None,
    };
    assert_eq!(routes.queues[&name("few")], defaults);
    let expected = Queue {
        extension: routes.queues[&name("support")].extension,
        members: vec![UserKey::of("ana@example.com"), UserKey::of("lobby")],
        strategy: QueueStrategy::FewestCalls,
        ring: 20,
        wrap_up: 60,
        max_callers: Some(3),
        timeout: Some(300),
        late: vec![Target::Object(name("few"))],
        empty: vec![Target::User(UserKey::of("lobby"))],
        full: vec![Target::Busy],
        position: Some(60),
        every: Some(Announcement { prompt: "acme/wait".parse().unwrap(), each: 45 }),
    };
    assert_eq!(routes.queues[&name("support")], expected);
    let numbered: Vec<_> = routes.numbered().into_iter().map(|one| (one.number.number(), one.chain.0)).collect();
    assert_eq!(numbered, [(1200, vec![Node::Queue(name("support"))])]);
}

#[test]
fn members_times_and_bounds_are_checked() {
    insta::assert_snapshot!(problems(
        "queues:\n  Support: { members: [lobby] }\n  a: { members: [] }\n  \
         b: { members: [lobby, lobby, a, zoe@example.com, \"+491701234567\"] }\n  \
         c: { members: [lobby], ring: 4s, wrap_up: 5, max_callers: 0, timeout: { after: 61m } }\n  \
         d: { members: [lobby], full: [hangup], empty: [] }\n  \
         e: { members: [lobby], strategy: rrmemory, announce: { every: { prompt: wait } } }\n  \
         lobby: { members: [lobby] }\n"
    ), @r"
    5:11 duplicate-name: `lobby` is a phone and a queue
      rename one of them: a route that names it could mean either; upper and lower case do not matter
    7:3 invalid-object-name: a queue cannot be called `Support`
      use lower-case letters, digits and `_`, starting with a letter, at most 40 characters
    8:17 empty-route: the queue `a` has no members
      name at least one user or phone
    9:25 duplicate-target: `lobby` is a member twice
      keep one of them
    9:32 unknown-reference: no such user or phone: `a`
      a queue has users and phones as members: name them here
    9:35 unknown-reference: no such user: `zoe@example.com`
      declared are: ana@example.com, lobby
    9:52 invalid-target: `+491701234567` cannot be a member of a queue
      name users by e-mail, and phones by id; a member of a queue has a phone of this Asterisk
    10:32 invalid-ring: `4s` is not a time to ring
      write whole seconds, such as `30s`, from `5s` to `600s`
    10:45 invalid-wait: `5` is not a time to wait
      write whole seconds or minutes with their unit, such as `45s` or `5m`, from `1s` to `60m`
    10:61 out-of-bounds: a queue does not hold 0 callers
      `max_callers` goes from 1 to 1000
    10:82 invalid-wait: `61m` is not a time to wait
      write whole seconds or minutes with their unit, such as `45s` or `5m`, from `1s` to `60m`
    11:32 unreachable-route: no call ever goes to `full` of the queue `d`: any number of callers may wait
      add `max_callers:`, or remove `full`
    11:49 empty-route: the list of targets is empty
      name at least one destination; `[hangup]` ends the call
    12:36 unknown-value: `rrmemory` is not known here
      one of: all, round-robin, least-recent, fewest-calls, random, linear
    12:65 missing-key: the key `each` is missing
      add `each:`
    ");
}

/// A caller would wait again and again although nobody chose that.
#[test]
fn a_call_does_not_come_back_to_a_queue_it_left() {
    insta::assert_snapshot!(problems(
        "queues:\n  a: { members: [lobby], timeout: { after: 1m, to: [b] } }\n  b: { members: [lobby], empty: [sales] }\n  \
         c: { members: [lobby], empty: [c] }\n  d: { members: [lobby], empty: [main] }\n\
         groups: { sales: { members: [lobby], no_answer: [a] } }\n\
         menus: { main: { prompt: beep, digits: { 1: [d] } } }\n"
    ), @r"
    7:3 queue-loop: a call that leaves the queue `a` comes back to it
      change `timeout`, `empty` or `full`, or where these lead to, so that none of them leads back
    8:3 queue-loop: a call that leaves the queue `b` comes back to it
      change `timeout`, `empty` or `full`, or where these lead to, so that none of them leads back
    9:3 queue-loop: a call that leaves the queue `c` comes back to it
      change `timeout`, `empty` or `full`, or where these lead to, so that none of them leads back
    ");
}

#[test]
fn a_queue_ends_a_chain_and_twilio_reaches_it_by_sip() {
    insta::assert_snapshot!(problems(
        "queues: { support: { members: [lobby] } }\ndefault_route: [support, lobby]\n"
    ), @r"
    7:17 unreachable-route: no target after `support` is ever tried
      put it last
    7:17 unreachable-user: a call through Twilio cannot reach `support`, and goes to the next target
      add `public_sip_host:`, the name under which the phones are reached from outside
    7:26 unreachable-user: a call through Twilio cannot reach `lobby`, and goes to the next target
      add `public_sip_host:`, the name under which the phones are reached from outside
    ");
    assert_eq!(
        problems(
            "public_sip_host: pbx.example.com\nqueues: { support: { members: [lobby] } }\ndefault_route: [support]\n"
        ),
        ""
    );
}
