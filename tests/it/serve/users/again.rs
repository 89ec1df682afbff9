//! Requests about users that come again, or many at once.

use super::*;

#[test]
fn a_key_makes_it_safe_to_send_a_request_again() {
    let (env, serve, portal) = portal(&desired(&[]));
    let keyed = portal.with("Idempotency-Key", "k-1");
    let first = keyed.post("/users", &ana()).expect(201);
    let again = keyed.post("/users", &ana()).expect(201);
    assert_eq!(again.text, first.text, "the secret too");
    assert_eq!(again.header("location"), first.header("location"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    // What asks for the same is the same request, however it is written.
    let same = br#" { "extension": null, "email": "ana@example.com", "name": " Ana " } "#;
    assert_eq!(keyed.send("POST", "/users", Some(same)).expect(201).text, first.text);
    // Another replica knows it, too.
    let replica = Serve::start(&env, "");
    let elsewhere = at(&keyed, &replica);
    assert_eq!(elsewhere.post("/users", &ana()).expect(201).text, first.text);

    for other in [
        json!({ "name": "Ana Silva", "email": "ana@example.com" }),
        json!({ "name": "Ana", "email": "bo@example.com" }),
        json!({ "name": "Ana", "email": "ana@example.com", "extension": 1000 }),
    ] {
        let refused = keyed.post("/users", &other).expect(422);
        assert_eq!(refused.error(), "IdempotencyKeyReused");
        assert_eq!(fields(&refused), ["Idempotency-Key"]);
    }
    // What was refused was not remembered.
    let fresh = portal.with("Idempotency-Key", "k-2");
    assert_eq!(fresh.post("/users", &ana()).expect(409).error(), "EmailTaken");
    fresh.post("/users", &json!({ "name": "Bo", "email": "bo@example.com" })).expect(201);
    // The key is the token's own.
    let second = serve.client(&token(&env, "second", "write")).with("Idempotency-Key", "k-1");
    assert_eq!(second.post("/users", &ana()).expect(409).error(), "EmailTaken");
    second.post("/users", &json!({ "name": "Cleo", "email": "cleo@example.com" })).expect(201);
    // The answer stands after the user is gone, and makes nobody.
    portal.delete(first.header("location").unwrap()).expect(204);
    assert_eq!(keyed.post("/users", &ana()).expect(201).text, first.text);
    assert_eq!(portal.get(first.header("location").unwrap()).expect(404).error(), "NotFound");
}

#[test]
fn a_key_is_one_visible_word() {
    let (_env, _serve, portal) = portal(&desired(&[]));
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for key in ["", "a b", "a\tb", &too_long] {
        let refused = portal.with("Idempotency-Key", key).post("/users", &ana()).expect(422);
        assert_eq!(fields(&refused), ["Idempotency-Key"], "{key}");
    }
    let two = portal.with("Idempotency-Key", "a").with("Idempotency-Key", "a");
    assert_eq!(fields(&two.post("/users", &ana()).expect(422)), ["Idempotency-Key"]);
    portal.with("Idempotency-Key", &longest).post("/users", &ana()).expect(201);
    portal.with("idempotency-key", r#""!~'%;--"#).post("/users", &json!({ "name": "B", "email": "b@b" })).expect(201);
}

#[test]
fn one_key_at_once_makes_one_user() {
    let (env, serve, portal) = portal(&desired(&[]));
    let replica = Serve::start(&env, "");
    let keyed = portal.with("Idempotency-Key", "k-1");
    let answers: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let client = at(&keyed, if n % 2 == 0 { &serve } else { &replica });
                scope.spawn(move || client.post("/users", &ana()).expect(201).text)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 1, "all hear the same");
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 1);
}

#[test]
fn sixty_four_at_once_get_the_lowest_numbers_and_none_is_rejected() {
    // 64 numbers are left: two are reserved, two are somebody's, and one was freed.
    let (env, serve, portal) = portal(&file(
        "range: 1000-1067, reserved: [1003, 1040]",
        &["email: ana@example.com, name: Ana, extension: 1010"],
    ));
    assert_eq!(number(&portal, "bo@example.com"), 1000);
    assert_eq!(number(&portal, "cleo@example.com"), 1001);
    assert_eq!(number(&portal, "dora@example.com"), 1002);
    portal.delete(&path(&portal, "cleo@example.com")).expect(204);
    portal.delete(&path(&portal, "dora@example.com")).expect(204);
    let replica = Serve::start(&env, "");
    let answers: Vec<Value> = thread::scope(|scope| {
        let request = |n| {
            let client = at(&portal, if n % 2 == 0 { &serve } else { &replica });
            let body = json!({ "name": "N", "email": format!("u{n}@example.com") });
            move || client.post("/users", &body).expect(201).json()
        };
        let threads: Vec<_> = (0..64).map(|n| scope.spawn(request(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let numbers: BTreeSet<u64> = answers.iter().map(|user| user["extension"].as_u64().unwrap()).collect();
    let lowest: BTreeSet<u64> = (1000..=1067).filter(|number| ![1000, 1003, 1010, 1040].contains(number)).collect();
    assert_eq!((answers.len(), numbers), (64, lowest));
    let ids: BTreeSet<&str> = answers.iter().map(|user| user["id"].as_str().unwrap()).collect();
    let secrets: BTreeSet<&str> = answers.iter().map(|user| user["sip"]["secret"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), secrets.len()), (64, 64));
    let full = portal.post("/users", &ana()).expect(409);
    assert_eq!(full.error(), "EmailTaken", "what is wrong with the request comes first");
    let full = portal.post("/users", &json!({ "name": "One", "email": "more@example.com" })).expect(409);
    assert_eq!(full.error(), "RangeExhausted");
    assert!(full.text.contains("1000-1067 (68 numbers)"), "{}", full.text);
}
