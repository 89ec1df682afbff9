//! Two tenants on one Asterisk: the same numbers, contexts of their own, no name in common, one
//! apply at a time, and no error of one of them in the other's way.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, desired, until},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CY: &str = "email: cy@example.com, name: Cy";

#[test]
fn the_same_numbers_ring_within_each_tenant() {
    let mut env = two_tenants(&[ANA, BO], &[ANA, BO, CY]);
    let endpoints = env.ask("pjsip list endpoints");
    for name in ["acme-1000", "acme-1001", "bolt-1000", "bolt-1001", "bolt-1002"] {
        assert!(endpoints.contains(&format!("{name}/")), "{endpoints}");
    }
    for (tenant, other) in [("acme", "bolt"), ("bolt", "acme")] {
        for context in ["internal", "ring", "generation"] {
            let dialplan = env.ask(&format!("dialplan show {tenant}-{context}"));
            assert!(
                dialplan.contains(&format!("[ Context '{tenant}-{context}' created by 'pbx_config' ]")),
                "{dialplan}"
            );
            assert!(!dialplan.contains(other), "{dialplan}");
        }
    }

    let ana = phone(&mut env, "acme", "ana@example.com");
    let (bo, other_bo) = (phone(&mut env, "acme", "bo@example.com"), phone(&mut env, "bolt", "bo@example.com"));
    let other_cy = phone(&mut env, "bolt", "cy@example.com");
    let (_answering, _too) = (other_bo.answers(), other_cy.answers());
    ana.is_told("480", "1001"); // Bo of the other tenant is there; ours is not
    ana.is_told("404", "1002"); // nobody's in this tenant
    let answering = bo.answers();
    ana.reaches("1001");
    answering.unplug();
    // One tenant's secret opens nothing at the other's number.
    let mut thief = phone(&mut env, "acme", "bo@example.com");
    thief.username = other_bo.username;
    thief.is_refused();
    nothing_in_the_log(&env);
}

/// Phones of one tenant rang those of the other: only the existence of an included context was looked at.
#[test]
fn an_include_of_a_generated_context_is_rejected_before_anything_moves() {
    let env = two_tenants(&[ANA], &[ANA, BO]);
    let include = |context: &str| {
        let text =
            tenant("acme", &[ANA, BO]).replace("users:", &format!("dialplan: {{ include: [{context}] }}\nusers:"));
        env.write("acme.yaml", &text);
    };
    let (dump, files) = (env.dump(), env.files());
    for kind in ["internal", "ring", "leg", "generation"] {
        include(&format!("bolt-{kind}"));
        let words = format!("`dialplan.include` names `bolt-{kind}`, a context of the tenant `bolt` on this host");
        for args in ["plan -f acme.yaml", "plan --no-asterisk -f acme.yaml"] {
            let seen = env.run(args).expect(0).stderr;
            assert!(seen.contains(&format!("error[rail-taken-names]: {words}")), "{args}: {seen}");
        }
        for args in ["apply -f acme.yaml", "apply --no-reload -f acme.yaml"] {
            let refused = env.run(args).expect(3);
            assert!(refused.stderr.contains(&words), "{args}: {}", refused.text());
        }
        include(&format!("acme-{kind}"));
        let refused = env.run("check -f acme.yaml").expect(65);
        let words = format!("error[generated-context]: the context `acme-{kind}` is generated from this file");
        assert!(refused.stderr.contains(&words), "{}", refused.text());
    }
    assert_eq!((env.dump(), env.files()), (dump, files));
    include("acme-outbound");
    env.run("check -f acme.yaml").expect(0);
}

/// Ranges may overlap as long as no number is used twice; callers heard 480 for a number of the other
/// tenant's, and would have rung its phone.
#[test]
fn a_number_of_another_tenant_is_unknown_here() {
    let env = TestEnv::with_asterisk();
    env.write("acme.yaml", &desired(&[ANA]));
    env.write("bolt.yaml", &desired(&[&format!("{BO}, extension: 1001")]).replace("acme", "bolt"));
    for file in ["acme.yaml", "bolt.yaml"] {
        env.run(&format!("apply -f {file}")).expect(0);
    }
    let shown = env.run("secret show ana@example.com -f acme.yaml --format json").expect(0).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let text = |key: &str| shown[key].as_str().expect("a text").to_owned();
    Phone::with(&env, text("username"), text("secret")).is_told("404", "1001");
    nothing_in_the_log(&env);
}

/// The phones of a tenant `acme-gen` are called as the marks of `acme` begin.
#[test]
fn no_slug_makes_the_phones_of_one_tenant_look_like_marks_of_another() {
    let env = TestEnv::with_asterisk();
    for slug in ["acme", "acme-gen"] {
        env.write(&format!("{slug}.yaml"), &tenant(slug, &[ANA]));
    }
    env.run("apply -f acme.yaml --no-reload").expect(0);
    fs::rename(env.etc("pjsip.d/acme"), env.etc("acme")).unwrap();
    env.run("apply -f acme-gen.yaml").expect(0);
    fs::rename(env.etc("acme"), env.etc("pjsip.d/acme")).unwrap();
    let status = env.run("status -f acme.yaml").expect(0).stdout;
    assert!(status.contains("running     res_pjsip runs no generation of the endpoint file\n"), "{status}");
    env.run("apply -f acme.yaml").expect(0);
    env.write("acme.yaml", &tenant("acme", &[ANA, BO]));
    env.run("apply -f acme.yaml").expect(0);
    env.run("status -f acme.yaml --detailed-exitcode").expect(0);
}

#[test]
fn an_invalid_file_of_one_tenant_is_its_own_affair() {
    let env = two_tenants(&[ANA], &[BO]);
    let before = env.endpoints("acme");
    env.write("acme.yaml", "version: 1\ntenant: acme\nusers: 7\n");
    env.write("bolt.yaml", &tenant("bolt", &[BO, CY]));
    env.run("apply -f acme.yaml").expect(65);
    env.run("apply -f bolt.yaml").expect(0);
    assert_eq!(env.endpoints("acme"), before);
    // Nor does a rail, or a secret that is not there.
    env.write("acme.yaml", &tenant("acme", &[&format!("{ANA}, secret: {{ env: NOT_SET_SECRET }}")]));
    env.run("apply -f acme.yaml").expect(1);
    env.write("bolt.yaml", &tenant("bolt", &[BO, CY, ANA]));
    env.run("apply -f bolt.yaml").expect(0);
}

/// Each tenant may be recorded in a database of its own; the rail against foreign files looks at
/// the tenant's own files.
#[test]
fn tenants_of_different_databases_share_an_asterisk() {
    let env = TestEnv::with_asterisk();
    let mut other = TestEnv::new();
    other.set("ASTERISK_CONFIG_DIR", env.path("asterisk/etc").to_str().unwrap());
    other.set("ASTERISK_COMMAND", env.path("asterisk/bin/asterisk").to_str().unwrap());
    for round in [&[ANA][..], &[ANA, BO], &[BO]] {
        env.write("pbx.yaml", &tenant("acme", round));
        other.write("pbx.yaml", &tenant("bolt", round));
        for env in [&env, &other] {
            env.run("apply").expect(0);
            env.run("status --detailed-exitcode").expect(0);
        }
    }
    // Where the other database is named by mistake, the rail stops it.
    other.write("pbx.yaml", &tenant("acme", &[BO]));
    let stopped = other.run("apply").expect(3);
    assert!(stopped.stderr.starts_with("error[rail-foreign-files]: "), "{}", stopped.text());
}

#[test]
fn the_second_of_two_applies_at_once_names_the_holder_of_the_host() {
    let mut env = two_tenants(&[ANA], &[ANA]);
    env.write("acme.yaml", &tenant("acme", &[ANA, BO]));
    env.write("bolt.yaml", &tenant("bolt", &[ANA, BO]));
    env.set("RECONCILE_FAIL_POINT", "reloaded=delay");
    thread::scope(|scope| {
        let first = scope.spawn(|| env.run("apply -f acme.yaml"));
        until("the first one runs", || env.endpoints("acme").contains("bo@example.com"));
        let second = env.run("apply -f bolt.yaml").expect(5);
        assert!(
            second.stderr.starts_with(
                "error: another apply is running on the host `pbx-test`: tester runs `apply` on pbx-test since 20"
            ),
            "{}",
            second.text()
        );
        first.join().unwrap().expect(0);
    });
    env.run("apply -f bolt.yaml").expect(0);
}

/// The apply that comes first reloads and reads back before the other one moves anything. Both may ask before that.
#[test]
fn applies_never_interleave() {
    let mut env = two_tenants(&[ANA], &[ANA]);
    env.set("ASTERISK_COMMAND", &witness(&env));
    let (mut live, mut refused) = (0, 0);
    for round in 0..6 {
        let name = format!("email: ana@example.com, name: Ana {round}");
        for slug in ["acme", "bolt"] {
            env.write(&format!("{slug}.yaml"), &tenant(slug, &[&name]));
        }
        let codes = thread::scope(|scope| {
            let runs = ["acme", "bolt"].map(|slug| {
                scope.spawn({
                    let env = &env;
                    move || env.run(&format!("apply -f {slug}.yaml"))
                })
            });
            runs.map(|run| run.join().unwrap().code)
        });
        assert!(codes.iter().all(|code| [0, 5].contains(code)) && codes.contains(&0), "{codes:?}");
        live += codes.iter().filter(|code| **code == 0).count();
        refused += codes.iter().filter(|code| **code == 5).count();
    }
    let seen = fs::read_to_string(env.path("home/seen")).unwrap();
    // What one apply does under the lock stands together: there are as many groups as applies that were let in.
    let mut groups: Vec<&str> = seen.lines().collect();
    groups.dedup();
    assert_eq!(groups.len(), live, "{seen}");
    assert!(refused > 0, "none of {live} applies met another");
}

/// A client of Asterisk that notes which process begins to reload, and reloads.
fn witness(env: &TestEnv) -> String {
    let client = env.path("witness");
    let (seen, asterisk) = (env.path("home/seen"), env.path("asterisk/bin/asterisk"));
    let script = format!(
        "#!/bin/sh\ncase $2 in 'logger show channels'|*reload*) echo $PPID >>{};; esac\nexec {} \"$@\"\n",
        seen.display(),
        asterisk.display()
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    client.display().to_string()
}

/// Makes the text of a file somebody spoils out of the good one.
type Spoil = fn(&str) -> String;

/// All files are one text to Asterisk: a file that somebody broke by hand takes what stands behind
/// it along, or all objects of a type, whoever's reload comes next.
#[test]
fn a_file_broken_by_hand_blocks_no_other_tenant() {
    let env = two_tenants(&[ANA], &[ANA]);
    let generated = ["pjsip.d/acme/generated_endpoints.conf", "extensions.d/acme/generated_routing.conf"];
    let good = generated.map(|path| fs::read_to_string(env.etc(path)).unwrap());
    let spoils: [(usize, Spoil); 5] = [
        (0, |text| format!("{text}[garbage\n")),
        (0, |text| format!("{text}[x](nosuch)\n")),
        (0, |text| format!("{text}[acme-1000](acme-phone)\nauth = acme-1000\n")),
        (0, |text| text.split("](acme-auth)").next().unwrap().to_owned()),
        (1, |text| format!("{text}[garbage\n")),
    ];
    for ((file, spoil), number) in spoils.into_iter().zip(1001..) {
        fs::write(env.etc(generated[file]), spoil(&good[file])).unwrap();
        move_ana(&env, number, file == 1);
        let said = env.run("apply -f bolt.yaml").expect(0).stderr;
        let mended = format!(
            "warning: {} was edited by hand or cut short, and kept Asterisk from taking what stands behind it: \
             tenant `acme`'s last good file was put back\n",
            generated[file]
        );
        assert!(said.contains(&mended), "{number}: {said}");
        assert_eq!(fs::read_to_string(env.etc(generated[file])).unwrap(), good[file]);
        for slug in ["acme", "bolt"] {
            env.run(&format!("status -f {slug}.yaml --detailed-exitcode")).expect(0);
        }
    }
}

/// Where no last good file of the other tenant is known here, only its own apply can mend its file.
#[test]
fn a_broken_file_is_reported_to_the_other_tenant_and_healed_by_its_own() {
    let env = two_tenants(&[ANA], &[ANA]);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let good = env.endpoints("acme");
    // The damage, Asterisk's own words, and whether the other tenant's last good files run in spite of it.
    let cases = [
        ("[garbage\n", 1001, "config.c: parse error: no closing ']', line ", false),
        (
            "[acme-1000](acme-phone)\nauth = acme-1000\n",
            1002,
            "contains a duplicate object: 'acme-1000' of type 'endpoint'",
            true,
        ),
    ];
    for (garbage, number, complaint, runs) in cases {
        let before = env.endpoints("bolt");
        for host in fs::read_dir(env.path("state/hosts")).unwrap().flatten() {
            fs::remove_dir_all(host.path().join("acme")).unwrap();
        }
        fs::write(&path, good.clone() + garbage).unwrap();
        move_ana(&env, number, false);
        let failed = env.run("apply -f bolt.yaml").expect(6).stderr;
        for words in [
            complaint,
            "rendered: the last good files were put back\n",
            if runs {
                "running: Asterisk runs them, read back\n"
            } else {
                "running: unknown, the read-back of these files also failed\n"
            },
            "hint: the file at fault belongs to tenant `acme`, and Asterisk reads the files of all tenants as one: \
             run `reconcile apply` for `acme`, which repairs it, then `reconcile apply --again` for this tenant\n",
        ] {
            assert!(failed.contains(words), "{garbage}: {words} in {failed}");
        }
        assert_eq!(env.endpoints("bolt"), before, "put back");
        env.run("apply -f acme.yaml").expect(0);
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
        env.run("apply --again -f bolt.yaml").expect(0);
        for slug in ["acme", "bolt"] {
            env.run(&format!("status -f {slug}.yaml --detailed-exitcode")).expect(0);
        }
    }
}

/// Pins the one user of `bolt` to another number; its dialplan changes too where asked.
fn move_ana(env: &TestEnv, number: u32, dialplan: bool) {
    let text = tenant("bolt", &[&format!("{ANA}, extension: {number}")]);
    let range = "extensions: { range: 1000-1998 }\nusers:";
    env.write("bolt.yaml", &if dialplan { text.replace("users:", range) } else { text });
}

/// What somebody broke in the file behind ours does not reach us.
#[test]
fn a_file_edited_behind_ours_is_reported_to_its_own_tenant_alone() {
    let env = two_tenants(&[ANA], &[ANA]);
    let path = env.etc("pjsip.d/bolt/generated_endpoints.conf");
    let good = env.endpoints("bolt");
    fs::write(&path, format!("[garbage\n{good}")).unwrap();
    env.write("acme.yaml", &tenant("acme", &[ANA, BO]));
    env.run("apply -f acme.yaml").expect(0);
    let status = env.run("status -f bolt.yaml --detailed-exitcode").expect(2).stdout;
    assert!(status.contains("pjsip.d/bolt/generated_endpoints.conf was edited by hand or cut short"), "{status}");
    assert!(status.contains("endpoints are missing in the running Asterisk: `bolt-1000`"), "{status}");
    env.run("apply -f bolt.yaml").expect(0);
    // A name of ours in the other's file is refused before anything moves.
    fs::write(&path, good.clone() + "[acme-1002](bolt-phone)\nauth = bolt-1000\n").unwrap();
    env.write("acme.yaml", &tenant("acme", &[ANA, BO, CY]));
    let refused = env.run("apply -f acme.yaml").expect(3).stderr;
    assert!(
        refused.contains("the endpoint `acme-1002` is already in the file of the tenant `bolt` on this host"),
        "{refused}"
    );
    env.run("apply -f bolt.yaml").expect(0);
    env.run("apply -f acme.yaml").expect(0);
}

/// Declares a tenant whose names bear its slug.
fn tenant(slug: &str, users: &[&str]) -> String {
    desired(users).replace("tenant: acme", &format!("tenant: {slug}\nendpoint_names: tenant-extension"))
}

/// Asterisk with two tenants, `acme` and `bolt`.
fn two_tenants(acme: &[&str], bolt: &[&str]) -> TestEnv {
    let env = TestEnv::with_asterisk();
    for (slug, users) in [("acme", acme), ("bolt", bolt)] {
        env.write(&format!("{slug}.yaml"), &tenant(slug, users));
        env.run(&format!("apply -f {slug}.yaml")).expect(0);
    }
    env
}

/// A phone of a tenant.
fn phone(env: &mut TestEnv, slug: &str, email: &str) -> Phone {
    env.set("RECONCILE_FILE", &format!("{slug}.yaml"));
    Phone::of(env, email)
}
