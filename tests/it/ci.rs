//! The example for GitHub Actions does what it says: its workflow files and scripts are run as they
//! stand, with real git, PostgreSQL and Asterisk; GitHub itself is a stand-in.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use super::{
    github::{GitHub, Jobs, REPOSITORY, workflow},
    support::{TestEnv, desired},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: 'Cleo ##[add-path]/tmp ::error::x'";

/// A host that runs one phone, and a role that may only read its database.
pub(super) fn host() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.sql()
        .batch_execute(
            "do $$ begin create role reader login; exception when duplicate_object or unique_violation then null; end $$;
             alter default privileges grant select on tables to reader;",
        )
        .unwrap();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env
}

#[track_caller]
fn code(jobs: &Jobs, job: &str) -> Option<i32> {
    jobs[job].as_ref().map(|outcome| outcome.code)
}

#[track_caller]
pub(super) fn log<'a>(jobs: &'a Jobs, job: &str, code: i32) -> &'a str {
    let outcome = jobs[job].as_ref().expect("the job ran");
    assert_eq!(outcome.code, code, "{}", outcome.text());
    &outcome.stdout
}

#[test]
fn what_was_reviewed_is_what_is_applied() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    // Somebody writes our mark, with a plan of their own.
    let forged = "<!-- reconcile plan: acme -->\nPlan id `p1-0000000000000000`";
    for (id, login, kind) in [(1, "mallory", "User"), (2, "github-actions[bot]", "User"), (3, "evil[bot]", "Bot")] {
        github.keep(
            "comments.json",
            json!({ "id": id, "issue": 7, "user": { "login": login, "type": kind }, "body": forged }),
        );
    }
    let own = json!({ "id": 4, "issue": 8, "user": { "login": "github-actions[bot]", "type": "Bot" }, "body": forged });
    github.keep("comments.json", own);

    let before = env.dump();
    let head = github.commit("phones", &desired(&[ANA, BO]));
    let jobs = github.pull_request(7, "phones", REPOSITORY);
    for job in ["check", "plan", "comment"] {
        log(&jobs, job, 0);
    }
    let comments = github.kept("comments.json");
    assert_eq!(comments.len(), 5);
    let body = comments[4]["body"].as_str().unwrap();
    assert!(body.starts_with("<!-- reconcile plan: acme -->\n### Plan for acme\n"), "{body}");
    assert!(body.contains("\n+ bo@example.com  extension 1001 (lowest free)  pbx.yaml:5\n"), "{body}");
    assert!(body.ends_with(&format!("\nPlanned for {head}.\n")), "{body}");
    assert_eq!(env.dump(), before, "a plan moves nothing");

    // A second push updates the comment; nobody else's is touched.
    let head = github.commit("phones", &desired(&[ANA, BO, CLEO]));
    log(&github.pull_request(7, "phones", REPOSITORY), "comment", 0);
    let again = github.kept("comments.json");
    assert_eq!((again.len(), &again[..4]), (5, &comments[..4]));
    let body = again[4]["body"].as_str().unwrap();
    assert!(body.contains("extension 1002") && body.contains(&head), "{body}");
    assert_eq!(env.dump(), before);

    let jobs = github.merge(7, "phones", REPOSITORY);
    log(&jobs, "reviewed-plan", 0);
    let said = log(&jobs, "apply", 0);
    assert!(said.contains("\nLive: 1 file written; res_pjsip reloaded; read back"), "{said}");
    let endpoints = env.ask("pjsip list endpoints");
    assert!(endpoints.contains("1001/1001") && endpoints.contains("1002/1002"), "{endpoints}");
    let commit: String =
        env.sql().query_one("select git_commit from apply_audit_log order by id desc limit 1", &[]).unwrap().get(0);
    assert_eq!(commit, github.git(&["rev-parse", "main"]));

    // The night finds all as it was applied, and then a hand in the files.
    log(&github.night(), "status", 0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    fs::write(&path, env.endpoints("acme").replace("Ana", "Eve")).unwrap();
    log(&github.night(), "status", 2);
}

/// Two pull requests planned the same number.
#[test]
fn a_plan_that_went_stale_changes_nothing() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    github.commit("first", &desired(&[ANA, BO]));
    github.commit("second", &desired(&[CLEO, ANA]));
    log(&github.pull_request(1, "first", REPOSITORY), "plan", 0);
    log(&github.pull_request(2, "second", REPOSITORY), "plan", 0);
    log(&github.merge(1, "first", REPOSITORY), "apply", 0);
    let (dump, files) = (env.dump(), env.files());
    let jobs = github.merge(2, "second", REPOSITORY);
    let said = log(&jobs, "apply", 4);
    for words in ["expected: + cleo@example.com extension 1001, name", "; now: + cleo@example.com extension 1002, name"]
    {
        assert!(said.contains(words), "{said}");
    }
    assert!(said.contains("\n::error::nothing was applied, because the reviewed plan is no longer"), "{said}");
    assert_eq!((env.dump(), env.files()), (dump.clone(), files.clone()));

    // Planned again from what is merged now, it is reviewed again, and passes.
    github.commit("third", &(desired(&[CLEO, ANA, BO]) + "# again\n"));
    log(&github.pull_request(3, "third", REPOSITORY), "comment", 0);
    log(&github.merge(3, "third", REPOSITORY), "apply", 0);
    assert!(env.ask("pjsip list endpoints").contains("1002/1002"));
}

/// The plan was green, and the apply after the merge failed: the file declared a secret that the jobs did not have.
#[test]
fn a_plan_without_an_id_fails_its_job_and_names_the_variables() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    github.commit("door", &desired(&[ANA, "email: door@example.com, name: Door, secret: { env: DOOR_SECRET }"]));
    let jobs = github.pull_request(9, "door", REPOSITORY);
    let said = log(&jobs, "plan", 1);
    assert!(said.contains("\n::error::the plan has no id") && said.trim_end().ends_with(": DOOR_SECRET"), "{said}");
}

/// The check is red before the merge, not the apply after it; the reviewer sees why.
#[test]
fn a_plan_that_a_rail_stops_fails_its_job_and_is_left_for_the_reviewer() {
    let env = host();
    let users: Vec<String> = (0..8).map(|n| format!("email: u{n}@example.com, name: User {n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    env.write("pbx.yaml", &desired(&users));
    env.run("apply").expect(0);
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&users));
    github.commit("fewer", &desired(&users[..2]));
    let jobs = github.pull_request(7, "fewer", REPOSITORY);
    let said = log(&jobs, "plan", 3);
    assert!(said.contains("\n::error::an apply of this plan would be stopped by a rail: "), "{said}");
    let plan = fs::read_to_string(github.artefact("reconcile-plan").join("plan.md")).unwrap();
    assert!(plan.contains("rail-deletes: 6 of 8 users would be deleted (allowed 2)"), "{plan}");
    log(&jobs, "comment", 0);
    let comments = github.kept("comments.json");
    assert!(comments[0]["body"].as_str().unwrap().contains("rail-deletes: 6 of 8"), "{comments:?}");
    // Merged all the same, it is no reviewed plan that was green.
    let (dump, files) = (env.dump(), env.files());
    log(&github.merge(7, "fewer", REPOSITORY), "apply", 1);
    assert_eq!((env.dump(), env.files()), (dump, files));
}

#[test]
fn without_a_reviewed_plan_nothing_is_applied() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    let (dump, files) = (env.dump(), env.files());
    // A push to main,
    github.commit("main", &desired(&[ANA, BO]));
    let jobs = github.push();
    let said = log(&jobs, "apply", 1);
    assert!(said.contains("+ bo@example.com  extension 1001 (lowest free)"), "the plan is shown: {said}");
    assert!(said.contains("this commit is not the merge of one pull request of this repository"), "{said}");
    assert!(said.contains("\n::error::nothing was applied, because no reviewed plan was found"), "{said}");
    // a merge that no run has planned, or whose run has failed,
    github.commit("unplanned", &desired(&[ANA, BO, CLEO]));
    assert!(log(&github.merge(1, "unplanned", REPOSITORY), "apply", 1).contains("no plan was made for "));
    // and an artefact that is gone.
    github.commit("late", &desired(&[ANA, BO]));
    log(&github.pull_request(2, "late", REPOSITORY), "plan", 0);
    fs::remove_dir_all(github.artefact("reconcile-plan")).unwrap();
    assert!(log(&github.merge(2, "late", REPOSITORY), "apply", 1).contains("has left no plan, or it is too old"));
    assert_eq!((env.dump(), env.files()), (dump, files));
}

/// Such a plan was applied: both artefact actions keep a file that is already there.
#[test]
fn a_plan_that_a_commit_brings_along_is_not_the_reviewed_one() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    let two = desired(&[ANA, BO]);
    env.write("pbx.yaml", &two);
    let plan = env.run("plan --format json").expect(0).stdout;
    let (dump, files) = (env.dump(), env.files());
    let folder = env.path("repository/reviewed");
    let own = env.path("repository/own");
    fs::create_dir(&own).unwrap();
    for folder in [&folder, &own] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("plan.json"), &plan).unwrap();
    }
    // Pushed to main,
    github.commit("main", &two);
    let said = log(&github.push(), "apply", 1).to_owned();
    assert!(said.contains("\n::error::nothing was applied, because no reviewed plan was found"), "{said}");
    // as a link,
    fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("own", &folder).unwrap();
    github.commit("main", &two);
    log(&github.push(), "apply", 1);
    // with a link in place of the reason,
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink("../own/plan.json", folder.join("none")).unwrap();
    fs::write(folder.join("plan.json"), &plan).unwrap();
    github.commit("main", &two);
    log(&github.push(), "apply", 1);
    // and merged from a fork.
    github.commit("theirs", &(two + "# theirs\n"));
    log(&github.merge(9, "theirs", "mallory/phones"), "apply", 1);
    assert_eq!((env.dump(), env.files()), (dump, files));
}

/// A folder that was there before may hold what nobody reviewed.
#[test]
fn an_apply_takes_either_a_plan_or_a_reason_from_a_fresh_folder() {
    let env = TestEnv::new();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/.github/reconcile");
    let run = |script: &str, folder: &Path| {
        let mut command = Command::new(scripts.join(script));
        command.arg(folder).envs([("GITHUB_REPOSITORY", REPOSITORY), ("GITHUB_SHA", "x"), ("GITHUB_REF_NAME", "main")]);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let folder = env.path("reviewed");
    std::os::unix::fs::symlink("elsewhere", &folder).unwrap();
    for made in [false, true] {
        if made {
            fs::create_dir(env.path("elsewhere")).unwrap();
        }
        for script in ["reviewed-plan.sh", "plan.sh"] {
            let (code, said) = run(script, &folder);
            assert!(code == Some(1) && said.contains("File exists"), "{script}: {said}");
        }
    }
    for names in [&[][..], &["plan.json", "none"]] {
        for name in names {
            fs::write(folder.join(name), "{}").unwrap();
        }
        let (code, said) = run("apply.sh", &folder);
        assert!(code == Some(1) && said.starts_with("::error::nothing was applied, because it is unclear"), "{said}");
    }
}

/// A pull request to a base with a workflow of its own can have the same last commit: its run has
/// left what that workflow likes.
#[test]
fn the_plan_of_another_pull_request_with_the_same_commit_is_not_taken() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    let head = github.commit("fix/a#1", &desired(&[ANA, BO]));
    log(&github.pull_request(7, "fix/a#1", REPOSITORY), "plan", 0);
    let own = github.kept("runs.json").remove(0);
    let forged = github.files.join("artefacts/666/reconcile-plan");
    fs::create_dir_all(&forged).unwrap();
    fs::write(forged.join("plan.json"), "forged").unwrap();
    let forged = |changes: Value| {
        let mut run = own.clone();
        run["id"] = json!(666);
        run["run_number"] = json!(666);
        run.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        run
    };
    github.merge(7, "fix/a#1", REPOSITORY);
    // What is taken where GitHub has kept these runs, pull requests and events.
    let pull = github.kept("pulls.json").remove(0);
    let taken = |runs: Value, other: Option<Value>, event: Option<Value>| {
        let pulls: Vec<Value> = std::iter::once(pull.clone()).chain(other).collect();
        for (name, things) in [
            ("runs.json", runs),
            ("pulls.json", pulls.into()),
            ("events.json", event.into_iter().collect::<Vec<_>>().into()),
        ] {
            fs::write(github.files.join(name), things.to_string()).unwrap();
        }
        github.reviewed()
    };
    let to_evil = |branch: &str, opened: &str, closed: Option<&str>| {
        json!({
            "number": 8, "created_at": opened, "closed_at": closed, "merged_at": null, "merge_commit_sha": null,
            "base": { "ref": "evil", "repo": { "full_name": REPOSITORY } },
            "head": { "sha": head, "ref": branch, "repo": { "full_name": REPOSITORY } },
        })
    };
    let own_plan = format!("the plan is that of run {}, for pull request 7 at {head}", own["id"]);
    let none = format!("no plan was made for {head}, the last commit of pull request 7, and for no other one");

    // Another branch, another workflow, another time.
    let late = "2026-01-01T12:00:00Z";
    let pull_8 = |branch: &str| Some(to_evil(branch, "2026-01-01T11:00:00Z", None));
    for (what, run, other) in [
        ("branch", json!({ "head_branch": "other" }), pull_8("other")),
        ("file", json!({ "path": ".github/workflows/evil.yml@evil" }), None),
        ("before this one was opened", json!({ "created_at": "2026-01-01T09:59:59Z" }), None),
        ("while the other one was open", json!({ "created_at": late }), pull_8("fix/a#1")),
        (
            "just after it was closed",
            json!({ "created_at": late }),
            Some(to_evil("fix/a#1", "2026-01-01T11:00:00Z", Some("2026-01-01T11:59:00Z"))),
        ),
    ] {
        assert_eq!(taken(json!([own, forged(run)]), other, None), own_plan, "{what}");
    }
    // A branch that was used before is no obstacle.
    let before = to_evil("fix/a#1", "2025-12-01T00:00:00Z", Some("2025-12-02T00:00:00Z"));
    assert_eq!(taken(json!([own]), Some(before), None), own_plan);
    // Made for another base of this pull request, or nobody can tell for which one.
    let event = json!({ "issue": 7, "event": "base_ref_changed", "created_at": late });
    assert_eq!(taken(json!([own]), None, Some(event.clone())), none);
    let again = forged(json!({ "id": own["id"], "created_at": "2026-01-01T13:00:00Z" }));
    assert_eq!(taken(json!([own, again]), None, Some(event)), own_plan);
    let same_time = to_evil("fix/a#1", "2026-01-01T09:00:00Z", None);
    assert_eq!(taken(json!([own]), Some(same_time), None), none);
}

/// Whoever may push a branch decides what runs for its pull request, and what that leaves.
#[test]
fn code_of_the_branch_never_runs_with_a_token_that_can_write() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    // Scripts of the branch that say what token they have, and a comment that GitHub must not get.
    for script in ["lib.sh", "comment.sh", "plan.sh", "check.sh"] {
        let path = env.path("repository/.github/reconcile").join(script);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen('\n', "\necho \"token of the branch: ${GH_TOKEN:-none}\"\n", 1)).unwrap();
    }
    github.commit("scripts", &desired(&[ANA, BO]));
    let jobs = github.pull_request(7, "scripts", REPOSITORY);
    for (job, outcome) in &jobs {
        let said = &outcome.as_ref().unwrap().stdout;
        assert!(!said.contains("=write"), "{job}: {said}");
        assert_eq!(said.contains("token of the branch"), job != "comment", "{job}: {said}");
    }
    assert_eq!(github.kept("comments.json").len(), 1, "the plan is shown all the same");

    // An artefact that is no plan of ours.
    let plan_sh = env.path("repository/.github/reconcile/plan.sh");
    let mark = "<!-- reconcile plan: acme -->";
    for (number, leaves) in [
        format!("echo '{mark}'; head -c 70000 /dev/zero | tr '\\0' a"),
        "echo '<!-- reconcile plan: a --> <!-- x -->'".to_owned(),
        "echo '::error::canary'".to_owned(),
        "true".to_owned(),
    ]
    .iter()
    .zip(20..)
    .map(|(leaves, number)| (number, leaves))
    {
        let branch = format!("artefact-{number}");
        github.commit(&branch, &desired(&[ANA, BO]));
        let script = format!("mkdir \"$1\"; {{ {leaves}; }} >\"$1/plan.md\"; echo {{}} >\"$1/plan.json\"");
        fs::write(&plan_sh, format!("#!/bin/sh\n{script}\n")).unwrap();
        github.commit(&branch, &desired(&[ANA, BO]));
        let jobs = github.pull_request(number, &branch, REPOSITORY);
        let said = log(&jobs, "comment", 1);
        assert!(
            said.contains("::error::there is no plan to comment on") && !said.contains("canary"),
            "{leaves}: {said}"
        );
    }
    assert_eq!(github.kept("comments.json").len(), 1);
}

#[test]
fn a_fork_is_checked_and_nothing_else() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    github.commit("theirs", &desired(&[ANA, BO]));
    let jobs = github.pull_request(9, "theirs", "mallory/phones");
    assert_eq!((code(&jobs, "check"), code(&jobs, "plan"), code(&jobs, "comment")), (Some(0), None, None));
    assert!(log(&jobs, "check", 0).contains("pbx.yaml: valid, 2 users"));
    assert!(github.kept("comments.json").is_empty());
    // Its run may have left what it likes: even the right plan is not taken from it.
    let plan = env.path("repository/pbx.yaml");
    fs::copy(plan, env.path("work/pbx.yaml")).unwrap();
    fs::create_dir_all(github.artefact("reconcile-plan")).unwrap();
    let planned = env.run("plan --format json").expect(0).stdout;
    fs::write(github.artefact("reconcile-plan").join("plan.json"), planned).unwrap();
    let (dump, files) = (env.dump(), env.files());
    log(&github.merge(9, "theirs", "mallory/phones"), "apply", 1);
    assert_eq!((env.dump(), env.files()), (dump, files));
    // An invalid file fails the check, and what is wrong is said.
    github.commit("broken", &desired(&["email: nobody, name: ''"]));
    let jobs = github.pull_request(10, "broken", "mallory/phones");
    assert!(log(&jobs, "check", 65).contains("error[invalid-email]"));
}

/// The program is the one that the repository names, or none.
#[test]
fn a_program_that_was_exchanged_is_not_run() {
    let env = TestEnv::new();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    github.commit("phones", &desired(&[ANA, BO]));
    fs::write(github.files.join("releases/reconcile-test/reconcile"), "#!/bin/sh\necho evil\n").unwrap();
    let jobs = github.pull_request(1, "phones", "mallory/phones");
    let said = &jobs["check"].as_ref().unwrap();
    assert!(said.code == 1 && !said.stdout.contains("evil"), "{}", said.text());
}

fn workflows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/.github/workflows");
    let read =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect();
    files.sort();
    assert_eq!(files.len(), 5);
    files
}

/// The schema is that of `SchemaStore` (Apache-2.0), unchanged, as `check-jsonschema` 0.39.0 ships it.
#[test]
fn the_workflows_fit_their_schema() {
    let schema: Value = serde_json::from_str(include_str!("github/workflow.schema.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("workflow.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("workflow.json", &mut schemas).unwrap();
    for (name, text) in workflows() {
        schemas.validate(&workflow(&text), schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        // The check can fail.
        let bad = text.replace("\n    steps:", "\n    stepz:");
        assert!(schemas.validate(&workflow(&bad), schema).is_err(), "{name}");
    }
}

/// Rules that no schema knows.
#[test]
fn the_workflows_grant_no_more_than_needed() {
    for (name, text) in workflows() {
        let file = workflow(&text);
        assert_eq!(file["permissions"], json!({}), "{name}: a job gets what it names");
        assert!(file["concurrency"]["group"].is_string(), "{name}");
        let stops = &file["concurrency"]["cancel-in-progress"];
        let stoppable = ["pull-request.yml", "comment.yml"].contains(&name.as_str());
        assert_eq!(*stops == json!(true), stoppable, "{name}: an apply is never stopped half-way");
        assert!(file["on"].get("pull_request_target").is_none(), "{name}");
        let follows = file["on"].get("workflow_run").is_some();
        assert_eq!(follows, ["comment.yml", "recorded.yml"].contains(&name.as_str()), "{name}");
        for (id, job) in file["jobs"].as_object().unwrap() {
            let at = format!("{name}: {id}");
            assert!(job["permissions"].is_object() && job["timeout-minutes"].is_number(), "{at}");
            let written = job["permissions"].as_object().unwrap().iter().filter(|(_, level)| *level != "read");
            let written: Vec<&str> = written.map(|(name, _)| name.as_str()).collect();
            assert_eq!(written, if id == "comment" { vec!["pull-requests"] } else { vec![] }, "{at}");
            let of_a_pull_request = file["on"].get("pull_request").is_some();
            assert!(written.is_empty() || !of_a_pull_request, "{at}: what a branch holds runs without write access");
            let hosted = job["runs-on"] == "ubuntu-24.04";
            assert_eq!(
                hosted,
                of_a_pull_request || name == "comment.yml" || id == "reviewed-plan",
                "{at}: reviewed code only on the PBX host"
            );
            let secrets = job.to_string().contains("secrets.");
            assert_eq!(secrets, job["environment"].is_string(), "{at}: secrets belong to an environment");
            let unreviewed = job["environment"] == "reconcile-plan";
            assert_eq!(secrets && of_a_pull_request, unreviewed, "{at}: the other environments are for `main` only");
            if secrets && of_a_pull_request {
                assert_eq!(job["if"], "github.event.pull_request.head.repo.full_name == github.repository", "{at}");
            }
            for step in job["steps"].as_array().unwrap() {
                if let Some(action) = step["uses"].as_str() {
                    let (_, pin) = action.split_once('@').unwrap();
                    assert!(
                        pin.len() == 40 && pin.bytes().all(|b| b.is_ascii_hexdigit()),
                        "{at}: {action} is not pinned"
                    );
                    let checkout = action.starts_with("actions/checkout@");
                    assert!(!checkout || step["with"]["persist-credentials"] == false, "{at}");
                    let path = step["with"]["path"].as_str();
                    assert!(path.is_none_or(|path| path.starts_with("${{ runner.temp }}/")), "{at}: {path:?}");
                } else {
                    let run = step["run"].as_str().unwrap();
                    let ours = [".github/reconcile/", "mkdir \"$RUNNER_TEMP/"].iter().any(|word| run.starts_with(word));
                    assert!(ours && !run.contains("${{"), "{at}: {run}");
                }
            }
        }
    }
}
