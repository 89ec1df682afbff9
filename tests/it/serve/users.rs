//! Users over HTTP: made, listed, seen and deleted, whatever is asked for.

mod again;
mod refused;

use std::{collections::BTreeSet, fs, thread};

use serde_json::{Value, json};

use super::server::{Answer, Client, Serve, token};
use crate::support::{TestEnv, desired};

/// A file with a range and these users.
fn file(extensions: &str, users: &[&str]) -> String {
    desired(users).replace("users:", &format!("extensions: {{ {extensions} }}\nusers:"))
}

/// A server whose tenant's file is recorded, and a client that may read and write.
fn portal(yaml: &str) -> (TestEnv, Serve, Client) {
    let env = TestEnv::new();
    env.write("pbx.yaml", yaml);
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let client = serve.client(&token);
    (env, serve, client)
}

fn ana() -> Value {
    json!({ "name": "Ana", "email": "ana@example.com" })
}

/// Makes somebody of this address; answers with the number.
#[track_caller]
fn number(client: &Client, email: &str) -> u64 {
    let made = client.post("/users", &json!({ "name": "Somebody", "email": email })).expect(201);
    made.json()["extension"].as_u64().unwrap()
}

/// The same client, of another server.
fn at(client: &Client, serve: &Serve) -> Client {
    let mut client = client.clone();
    client.url.clone_from(&serve.url);
    client
}

/// The path of the user with this address.
#[track_caller]
fn path(client: &Client, email: &str) -> String {
    let users = client.get("/users").expect(200).json();
    let user = users["users"].as_array().unwrap().iter().find(|user| user["email"] == email).unwrap().clone();
    format!("/users/{}", user["id"].as_str().unwrap())
}

/// The details of an error, as field and message.
#[track_caller]
fn details(answer: &Answer) -> Vec<(String, String)> {
    let json = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let details = json["error"]["details"].as_array().unwrap();
    details.iter().map(|detail| (text(&detail["field"]), text(&detail["message"]))).collect()
}

/// The fields that an error is about.
#[track_caller]
fn fields(answer: &Answer) -> Vec<String> {
    details(answer).into_iter().map(|(field, _)| field).collect()
}

#[test]
fn a_user_is_made_listed_seen_and_deleted() {
    let (_env, _serve, portal) = portal(&desired(&["email: bo@example.com, name: Bo"]));
    let made = portal.post("/users", &ana()).expect(201);
    let mut user = made.json();
    let id = user["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(format!("/users/{id}").as_str()));
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(made.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(made.header("x-request-id").map(str::len), Some(36));
    // The secret is there, this once.
    let login = user.as_object_mut().unwrap().remove("sip").unwrap();
    assert_eq!(login["secret"].as_str().map(str::len), Some(24));
    assert_eq!(login, json!({ "username": "1001", "secret": login["secret"], "realm": "asterisk" }));
    let expected = json!({
        "id": id, "name": "Ana", "email": "ana@example.com", "extension": 1001, "managed_by": "api",
        "protected": false, "created_at": user["created_at"],
    });
    assert_eq!(user, expected);
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'));

    let listed = portal.get("/users").expect(200);
    assert_eq!(listed.header("cache-control"), Some("no-store"));
    let listed = listed.json();
    assert_eq!(portal.get(&format!("/users/{id}")).expect(200).json(), expected);
    assert_eq!(portal.get(&format!("/users/{}", id.to_uppercase())).expect(200).json(), expected);
    assert_eq!(listed["users"][0]["managed_by"], "file");
    assert_eq!(listed, json!({ "users": [listed["users"][0], expected], "next": null }));

    let gone = portal.delete(&format!("/users/{id}")).expect(204);
    assert_eq!((gone.text.as_str(), gone.header("content-type"), gone.header("content-length")), ("", None, None));
    assert!(gone.header("x-request-id").is_some());
    for again in [portal.delete(&format!("/users/{id}")), portal.get(&format!("/users/{id}"))] {
        let again = again.expect(404);
        assert_eq!(again.error(), "NotFound");
        assert_eq!(again.json()["error"]["message"], format!("there is no user {id}"));
    }
}

#[test]
fn the_lowest_free_number_is_given_and_any_other_on_request() {
    let (_env, _serve, portal) = portal(&file("range: 1000-1005, reserved: [1001], hold: 2d", &[]));
    assert_eq!(number(&portal, "ana@example.com"), 1000);
    assert_eq!(number(&portal, "bo@example.com"), 1002, "1001 is reserved");
    let pinned = |email: &str, number: Value| {
        portal.post("/users", &json!({ "name": "Somebody", "email": email, "extension": number }))
    };
    assert_eq!(pinned("cleo@example.com", json!(1001)).expect(201).json()["extension"], 1001);
    assert_eq!(pinned("dora@example.com", json!(1005.0)).expect(201).json()["extension"], 1005);
    assert_eq!(pinned("eve@example.com", json!(null)).expect(201).json()["extension"], 1003);

    // A number on hold goes back to the same person, and to nobody else.
    portal.delete(&path(&portal, "ana@example.com")).expect(204);
    assert_eq!(number(&portal, "fay@example.com"), 1004);
    let full = portal.post("/users", &json!({ "name": "Gil", "email": "gil@example.com" })).expect(409);
    assert_eq!(full.error(), "RangeExhausted");
    assert_eq!(
        details(&full),
        [("extension".to_owned(), "the range 1000-1005 (6 numbers) has no free number".to_owned())]
    );
    assert_eq!(number(&portal, "ANA@example.com"), 1000);
}

#[test]
fn an_address_or_number_in_use_is_rejected_and_its_owner_is_not_named() {
    let (_env, _serve, portal) = portal(&desired(&["email: bo.secretive@example.com, name: Bo, extension: 1500"]));
    portal.post("/users", &ana()).expect(201);
    let again = portal.post("/users", &json!({ "name": "Other", "email": "ANA@Example.com" })).expect(409);
    assert_eq!(again.error(), "EmailTaken");
    assert_eq!(details(&again), [("email".to_owned(), "`ANA@Example.com` is a user already".to_owned())]);
    let taken =
        portal.post("/users", &json!({ "name": "Cleo", "email": "cleo@example.com", "extension": 1500 })).expect(409);
    assert_eq!(taken.error(), "ExtensionTaken");
    assert_eq!(details(&taken), [("extension".to_owned(), "the extension 1500 is taken".to_owned())]);
    assert!(!taken.text.contains("secretive") && !taken.text.contains("Bo"), "{}", taken.text);
    for number in [999, 2000, 1, 99_999_999] {
        let outside = portal
            .post("/users", &json!({ "name": "Cleo", "email": "cleo@example.com", "extension": number }))
            .expect(422);
        assert_eq!(outside.error(), "ValidationError");
        let message = format!("the extension {number} is outside the range 1000-1999");
        assert_eq!(details(&outside), [("extension".to_owned(), message)]);
    }
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 2);
}

#[test]
fn a_tenant_needs_its_file_first() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    let token = token(&env, "portal", "read write");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    assert_eq!(portal.get("/users").expect(200).json(), json!({ "users": [], "next": null }));
    let refused = portal.post("/users", &ana()).expect(409);
    assert_eq!(refused.error(), "TenantNotRecorded");
    assert_eq!(
        refused.json()["error"]["details"],
        json!([{
            "message": "the tenant `acme` is not recorded yet",
            "hint": "run `reconcile sync` or `reconcile apply` with its file once",
        }])
    );
    let nobody = "/users/00000000-0000-4000-8000-000000000000";
    assert_eq!(portal.delete(nobody).expect(404).error(), "NotFound");
    env.run("sync").expect(0);
    assert_eq!(number(&portal, "ana@example.com"), 1000, "at once, without a restart");
}

#[test]
fn the_list_is_walked_page_by_page() {
    let (_env, _serve, portal) = portal(&desired(&["email: z@example.com, name: Z, extension: 1500"]));
    for email in ["y@example.com", "x@example.com", "w@example.com", "v@example.com", "u@example.com", "t@example.com"]
    {
        number(&portal, email);
    }
    let all = portal.get("/users").expect(200).json();
    let numbers = |page: &Value| -> Vec<u64> {
        page["users"].as_array().unwrap().iter().map(|user| user["extension"].as_u64().unwrap()).collect()
    };
    assert_eq!((numbers(&all), &all["next"]), (vec![1000, 1001, 1002, 1003, 1004, 1005, 1500], &json!(null)));
    for limit in 1..=8 {
        let (mut walked, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = portal.get(&format!("/users?limit={limit}{after}")).expect(200).json();
            walked.extend(page["users"].as_array().unwrap().clone());
            pages += 1;
            let Some(next) = page["next"].as_u64() else { break };
            after = format!("&after={next}");
        }
        assert_eq!((json!(walked), pages), (all["users"].clone(), 7_usize.div_ceil(limit)));
    }
    assert_eq!(numbers(&portal.get("/users?after=1004").expect(200).json()), [1005, 1500]);
    assert_eq!(numbers(&portal.get("/users?after=99999999&limit=1000000").expect(200).json()), [0; 0]);
    // Whoever is deleted meanwhile is not missed, and whoever comes is found.
    let next = portal.get("/users?limit=2").expect(200).json()["next"].as_u64().unwrap();
    portal.delete(&path(&portal, "x@example.com")).expect(204);
    assert_eq!(numbers(&portal.get(&format!("/users?limit=2&after={next}")).expect(200).json()), [1002, 1003]);
}

/// Reads how long a process, or one of its threads, has run on a processor, in ticks.
fn ticks(stat: &str) -> u64 {
    let text = fs::read_to_string(stat).unwrap();
    let fields = text.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// One thread answers callers and everybody else: what is long is read and written out beside it.
#[test]
fn a_long_list_is_not_the_work_of_the_thread_that_serves() {
    let (env, serve, portal) = portal(&desired(&["email: z@example.com, name: Z"]));
    env.sql()
        .batch_execute(
            "insert into users (id, tenant_id, email, email_key, name, managed_by, secret_sealed, secret_declared,
                secret_salt, secret_fingerprint, digest_fingerprint)
             select gen_random_uuid(), tenant_id, n || email, n || email_key, name, 'api', secret_sealed,
                secret_declared, secret_salt, secret_fingerprint, digest_fingerprint
             from users, generate_series(100000, 119999) n;
             insert into extensions (tenant_id, number, user_id)
             select tenant_id, left(email, 6)::integer, id from users where managed_by = 'api'",
        )
        .unwrap();
    let process = format!("/proc/{}", serve.pid());
    let thread = format!("{process}/task/{}/stat", serve.pid());
    let spent = || (ticks(&thread), ticks(&format!("{process}/stat")));
    let before = spent();
    for _ in 0..5 {
        assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 20_001);
    }
    let after = spent();
    let (serving, all) = (after.0 - before.0, after.1 - before.1);
    assert!(serving * 4 < all, "the thread that serves took {serving} of {all} ticks");
}

#[test]
fn another_tenants_users_are_unknown() {
    let (env, serve, acme) = portal(&desired(&[]));
    env.write("other.yaml", &desired(&["email: bo@example.com, name: Bo"]).replace("acme", "other"));
    env.run("sync -f other.yaml").expect(0);
    let other = serve.client(&token(&env, "portal --tenant other", "read write"));
    let path = acme.post("/users", &ana()).expect(201).header("location").unwrap().to_owned();
    assert_eq!(other.get(&path).expect(404).error(), "NotFound");
    assert_eq!(other.delete(&path).expect(404).error(), "NotFound");
    acme.get(&path).expect(200);
    let seen = other.get("/users").expect(200);
    assert!(seen.text.contains("bo@example.com") && !seen.text.contains("ana@example.com"), "{}", seen.text);
    // The same address and number is another user there.
    let made = other.post("/users", &ana()).expect(201).json();
    assert_eq!((&made["email"], &made["extension"]), (&json!("ana@example.com"), &json!(1001)));
    assert!(!acme.get("/users").expect(200).text.contains("bo@example.com"));
}

#[test]
fn a_declared_user_is_removed_in_the_file() {
    let (_env, _serve, portal) =
        portal(&desired(&["email: ana@example.com, name: Ana", "email: bo@example.com, name: Bo, protected: true"]));
    let declared = portal.delete(&path(&portal, "ana@example.com")).expect(409);
    assert_eq!(declared.error(), "UserDeclared");
    let message = "`ana@example.com` is declared in the desired state";
    assert_eq!(declared.json()["error"]["message"], message);
    assert_eq!(
        declared.json()["error"]["details"][0]["hint"],
        "remove the lines of `ana@example.com` from `users:` in the file of the tenant `acme`, and run `reconcile \
         apply` with it"
    );
    let protected = portal.delete(&path(&portal, "bo@example.com")).expect(409);
    assert_eq!(protected.error(), "UserProtected");
    assert_eq!(
        protected.json()["error"]["details"][0]["hint"],
        "set `protected: false` in the desired state and apply it first"
    );
    assert_eq!(portal.get("/users").expect(200).json()["users"].as_array().unwrap().len(), 2);
    for wrong in ["1", "ana@example.com", "%ff", "%00", "{id}", "00000000-0000-4000-8000-00000000000", "..%2fhealthz"] {
        for refused in [portal.delete(&format!("/users/{wrong}")), portal.get(&format!("/users/{wrong}"))] {
            let refused = refused.expect(422);
            assert_eq!((refused.error().as_str(), fields(&refused)), ("ValidationError", vec!["id".to_owned()]));
        }
    }
}

#[test]
fn the_file_leaves_the_portals_users_alone_until_it_names_them() {
    let base = desired(&["email: bo@example.com, name: Bo"]);
    let (env, _serve, portal) = portal(&base);
    let made = portal.post("/users", &json!({ "name": "Ana: \"A\" #1", "email": "ana@example.com" })).expect(201);
    let path = made.header("location").unwrap();
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo Li", "email: cleo@example.com, name: Cleo"]));
    env.run("apply --no-reload").expect(0);
    let before = portal.get(path).expect(200).json();
    assert_eq!((&before["managed_by"], &before["extension"]), (&json!("api"), &json!(1001)));

    let lines = env.run("export --users").expect(0).stdout;
    let rendered = env.endpoints("acme");
    env.write(
        "pbx.yaml",
        &(desired(&["email: bo@example.com, name: Bo Li", "email: cleo@example.com, name: Cleo"]) + &lines),
    );
    env.run("apply --no-reload").expect(0);
    let mut adopted = before;
    adopted["managed_by"] = json!("file");
    assert_eq!(portal.get(path).expect(200).json(), adopted, "the same id, number and time");
    assert_eq!(env.endpoints("acme"), rendered, "no phone has to log in again");
    assert_eq!(portal.delete(path).expect(409).error(), "UserDeclared");

    env.write("pbx.yaml", &base);
    env.run("apply --no-reload --allow deletes=9").expect(0);
    portal.get(path).expect(404);
}
