//! A stand-in for GitHub: runs workflow files as they stand, on a real git repository, with a file
//! for each thing GitHub would keep. It knows what the workflows of `examples/ci` use, and fails on
//! anything else.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::support::{Outcome, TestEnv, tool};

pub(crate) const REPOSITORY: &str = "acme/phones";

/// When a pull request was opened, and its runs were made.
const OPENED: &str = "2026-01-01T10:00:00Z";
/// When it was merged.
const MERGED: &str = "2026-01-01T18:00:00Z";

/// How a job ended; none where it was skipped.
pub(crate) type Jobs = BTreeMap<String, Option<Outcome>>;

/// What a workflow's expressions can ask for.
type Context = BTreeMap<String, String>;

/// A repository on GitHub with its runners.
pub(crate) struct GitHub<'a> {
    /// The PBX host, whose runner is self-hosted; hosted runners share its database.
    env: &'a TestEnv,
    /// What is kept: comments, pull requests, runs, artefacts, releases.
    pub(crate) files: PathBuf,
    repository: PathBuf,
    bin: PathBuf,
    runs: u64,
    /// Whether runners do not reach the database, and plan against what the PBX host leaves.
    pub(crate) recorded: bool,
}

impl<'a> GitHub<'a> {
    /// Makes a repository with the example's workflows and a release that holds the program.
    pub(crate) fn new(env: &'a TestEnv) -> Self {
        let (files, repository, bin) = (env.path("github"), env.path("repository"), env.path("runner-bin"));
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/.github");
        let program = Path::new(env!("CARGO_BIN_EXE_reconcile"));
        for folder in [&files.join("releases/reconcile-test"), &files.join("artefacts"), &repository, &bin] {
            fs::create_dir_all(folder).unwrap();
        }
        // A debug build is too large to be hashed by every job, and jq may be a wrapper of its own.
        let runs = |path: &Path, program: &Path| {
            fs::write(path, format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display())).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let released = files.join("releases/reconcile-test/reconcile");
        runs(&released, program);
        runs(&bin.join("gh"), &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/github/gh"));
        runs(&bin.join("jq"), &tool("LAB_JQ"));
        for name in ["artefacts.json", "comments.json", "events.json", "pulls.json", "runs.json"] {
            fs::write(files.join(name), "[]").unwrap();
        }
        assert!(Command::new("cp").arg("-r").arg(example).arg(&repository).status().unwrap().success());
        let sum = Command::new("sha256sum").arg(released).output().unwrap().stdout;
        let sum = String::from_utf8(sum).unwrap();
        let pinned = format!("reconcile-test {}\n", sum.split(' ').next().unwrap());
        fs::write(repository.join(".github/reconcile/release"), pinned).unwrap();
        let github = Self { env, files, repository, bin, runs: 0, recorded: false };
        github.git(&["init", "-q", "-b", "main"]);
        github
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.repository, args)
    }

    /// Commits a desired state to a branch, made from `main` where it is new; answers with the commit.
    pub(crate) fn commit(&self, branch: &str, yaml: &str) -> String {
        if branch != self.git(&["branch", "--show-current"]) {
            let exists = !self.git(&["branch", "--list", branch]).is_empty();
            let args: &[&str] = if exists { &["checkout", "-q", branch] } else { &["checkout", "-qb", branch, "main"] };
            self.git(args);
        }
        fs::write(self.repository.join("pbx.yaml"), yaml).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "phones"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs the workflow of a pull request for a branch of `from`, this repository or a fork.
    pub(crate) fn pull_request(&mut self, number: u64, branch: &str, from: &str) -> Jobs {
        let head = self.git(&["rev-parse", branch]);
        // What is checked out is what a merge would give.
        self.git(&["checkout", "-q", "--detach", "main"]);
        self.git(&["merge", "-q", "--no-ff", "-m", "test merge", branch]);
        let merge = self.git(&["rev-parse", "HEAD"]);
        let context = Context::from([
            ("github.event.pull_request.number".to_owned(), number.to_string()),
            ("github.event.pull_request.head.sha".to_owned(), head.clone()),
            ("github.event.pull_request.head.repo.full_name".to_owned(), from.to_owned()),
        ]);
        let mut jobs = self.run("pull-request.yml", &merge, &context, from == REPOSITORY);
        let success = jobs.values().flatten().all(|outcome| outcome.code == 0);
        let conclusion = if success { "success" } else { "failure" };
        let pull = json!([{ "number": number, "head": { "ref": branch, "sha": head }, "base": { "ref": "main" } }]);
        let run = json!({
            "id": self.runs, "run_number": self.runs, "head_sha": head, "event": "pull_request",
            "conclusion": conclusion,
            "head_repository": { "full_name": from }, "head_branch": branch,
            "path": ".github/workflows/pull-request.yml", "created_at": OPENED,
            // As GitHub has it once the pull request is merged: nothing to go by.
            "pull_requests": [],
        });
        self.keep("runs.json", run);
        // What follows a run has the workflow and the code of the default branch.
        let event = |name: &str| format!("github.event.workflow_run.{name}");
        let pulls = if from == REPOSITORY { pull } else { json!([]) };
        let context = Context::from([
            (event("id"), self.runs.to_string()),
            (event("head_sha"), head.clone()),
            (event("head_branch"), branch.to_owned()),
            (event("event"), "pull_request".to_owned()),
            (event("conclusion"), conclusion.to_owned()),
            (event("head_repository.full_name"), from.to_owned()),
            (format!("toJSON({})", event("pull_requests")), pulls.to_string()),
        ]);
        let main = self.git(&["rev-parse", "main"]);
        jobs.append(&mut self.jobs("comment.yml", &main, &context, true));
        jobs
    }

    /// Merges a branch, as its pull request, and runs what a push to `main` starts.
    pub(crate) fn merge(&mut self, number: u64, branch: &str, from: &str) -> Jobs {
        let head = self.git(&["rev-parse", branch]);
        self.git(&["checkout", "-q", "main"]);
        self.git(&["merge", "-q", "--no-ff", "-m", "merge", branch]);
        let merge = self.git(&["rev-parse", "HEAD"]);
        let pull = json!({
            "number": number, "created_at": OPENED, "closed_at": MERGED, "merged_at": MERGED, "merge_commit_sha": merge,
            "base": { "ref": "main", "repo": { "full_name": REPOSITORY } },
            "head": { "sha": head, "ref": branch, "repo": { "full_name": from } },
        });
        self.keep("pulls.json", pull);
        self.push()
    }

    /// Runs what a push of the present `main` starts.
    pub(crate) fn push(&mut self) -> Jobs {
        let sha = self.git(&["rev-parse", "main"]);
        self.run("apply.yml", &sha, &Context::new(), true)
    }

    /// Looks for the reviewed plan of the present `main` once more; answers with the last word on it.
    pub(crate) fn reviewed(&self) -> String {
        let sha = self.git(&["rev-parse", "main"]);
        let workflow = workflow(&self.git(&["show", "main:.github/workflows/apply.yml"]));
        let mut job = workflow["jobs"]["reviewed-plan"].clone();
        job["steps"].as_array_mut().unwrap().retain(|step| {
            let action = step["uses"].as_str().unwrap_or_default();
            !action.starts_with("actions/upload-artifact@")
        });
        let context = Context::from([("github.token".to_owned(), permissions(&job))]);
        let outcome = self.job(&workflow, &job, &sha, &context);
        assert_eq!(outcome.code, 0, "{}", outcome.text());
        outcome.stdout.lines().last().unwrap_or_default().to_owned()
    }

    /// Runs the workflow that leaves what is recorded, at a time of day.
    pub(crate) fn record(&mut self, at: &str) -> Jobs {
        let sha = self.git(&["rev-parse", "main"]);
        let jobs = self.run("recorded.yml", &sha, &Context::new(), true);
        let run = json!({ "id": self.runs, "head_branch": "main", "repository_id": 1, "head_repository_id": 1 });
        let artefact = json!({
            "name": "reconcile-recorded", "expired": false, "created_at": format!("2026-01-01T{at}:00Z"), "workflow_run": run
        });
        self.keep("artefacts.json", artefact);
        jobs
    }

    /// Runs the nightly workflow.
    pub(crate) fn night(&mut self) -> Jobs {
        let sha = self.git(&["rev-parse", "main"]);
        self.run("nightly.yml", &sha, &Context::new(), true)
    }

    /// Reads what is kept.
    pub(crate) fn kept(&self, name: &str) -> Vec<Value> {
        serde_json::from_str(&fs::read_to_string(self.files.join(name)).unwrap()).unwrap()
    }

    /// Keeps one thing more.
    pub(crate) fn keep(&self, name: &str, thing: Value) {
        let mut all = self.kept(name);
        all.push(thing);
        fs::write(self.files.join(name), Value::from(all).to_string()).unwrap();
    }

    /// The folder of the last run's artefact.
    pub(crate) fn artefact(&self, name: &str) -> PathBuf {
        self.files.join(format!("artefacts/{}/{name}", self.runs))
    }

    fn run(&mut self, file: &str, sha: &str, context: &Context, ours: bool) -> Jobs {
        self.runs += 1;
        self.jobs(file, sha, context, ours)
    }

    fn jobs(&self, file: &str, sha: &str, context: &Context, ours: bool) -> Jobs {
        let workflow = workflow(&self.git(&["show", &format!("{sha}:.github/workflows/{file}")]));
        let mut jobs = Jobs::new();
        let mut waiting: Vec<_> = workflow["jobs"].as_object().unwrap().iter().collect();
        while !waiting.is_empty() {
            let ready = |(_, job): &(&String, &Value)| job["needs"].as_str().is_none_or(|name| jobs.contains_key(name));
            let (name, job) = waiting.remove(waiting.iter().position(ready).unwrap());
            let succeeded = |name: &str| jobs[name].as_ref().is_some_and(|outcome: &Outcome| outcome.code == 0);
            let needed = job["needs"].as_str().is_none_or(succeeded);
            let mut context = context.clone();
            context.insert("github.repository".to_owned(), REPOSITORY.to_owned());
            context.insert("github.token".to_owned(), permissions(job));
            context.insert("vars.RECONCILE_RECORDED".to_owned(), if self.recorded { "true" } else { "" }.to_owned());
            let is_apart = self.recorded && job["environment"] == "reconcile-plan";
            if is_apart {
                context.insert("secrets.DATABASE_URL".to_owned(), String::new());
            } else if job["environment"].is_string() && ours {
                let url = self.env.database.clone().unwrap();
                // All but an apply is done by a role that may only read.
                let role = if job["environment"] == "reconcile-apply" { "user=postgres" } else { "user=reader" };
                context.insert("secrets.DATABASE_URL".to_owned(), url.replace("user=postgres", role));
            }
            let value = |word: &str| {
                word.strip_prefix('\'').map_or_else(|| context[word].clone(), |word| word.replace('\'', ""))
            };
            let wanted = job["if"].as_str().is_none_or(|condition| {
                condition.split(" && ").all(|part| {
                    let (left, right) = part.split_once(" == ").unwrap();
                    value(left) == value(right)
                })
            });
            let outcome = (needed && wanted).then(|| self.job(&workflow, job, sha, &context));
            jobs.insert(name.clone(), outcome);
        }
        jobs
    }

    fn job(&self, workflow: &Value, job: &Value, sha: &str, context: &Context) -> Outcome {
        let temp = tempfile::Builder::new().prefix("rc-runner-").tempdir_in("/tmp").unwrap();
        let workspace = temp.path().join("workspace");
        let hosted = job["runs-on"] == "ubuntu-24.04";
        assert!(hosted || job["runs-on"] == json!(["self-hosted", "pbx"]), "{}", job["runs-on"]);
        let mut outcome = Outcome { code: 0, stdout: String::new(), stderr: String::new() };
        for step in job["steps"].as_array().unwrap() {
            if outcome.code != 0 && step["if"] != "${{ !cancelled() }}" {
                continue;
            }
            if let Some(action) = step["uses"].as_str() {
                let artefact = || {
                    let (name, path) = (step["with"]["name"].as_str().unwrap(), step["with"]["path"].as_str().unwrap());
                    let runner = Context::from([("runner.temp".to_owned(), temp.path().to_str().unwrap().to_owned())]);
                    (self.artefact(name), workspace.join(resolved(path, &runner)))
                };
                let copy = |(from, to): (PathBuf, PathBuf)| {
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    assert!(Command::new("cp").arg("-rT").args([from, to]).status().unwrap().success());
                };
                match action.split('@').next().unwrap() {
                    "actions/checkout" => {
                        git(temp.path(), &["clone", "-q", self.repository.to_str().unwrap(), "workspace"]);
                        git(&workspace, &["checkout", "-q", sha]);
                    }
                    "actions/upload-artifact" => copy((artefact().1, artefact().0)),
                    "actions/download-artifact" => copy(artefact()),
                    other => panic!("the stand-in does not know the action {other}"),
                }
                continue;
            }
            let mut command = Command::new("bash");
            command.args(["-eo", "pipefail", "-c", step["run"].as_str().unwrap()]).current_dir(&workspace).env_clear();
            let mut path = vec![self.bin.clone()];
            if hosted {
                let added = fs::read_to_string(temp.path().join("path")).unwrap_or_default();
                path.extend(added.lines().map(PathBuf::from));
                command
                    .env("HOME", temp.path())
                    .env("ASTERISK_CONFIG_DIR", "/nowhere")
                    .env("ASTERISK_COMMAND", "/nowhere");
            } else {
                // What the administrator gave the runner on the PBX host.
                path.push(Path::new(env!("CARGO_BIN_EXE_reconcile")).parent().unwrap().to_owned());
                let host = self.env.command(&[]);
                for (name, value) in host.get_envs().filter(|(name, _)| *name != "DATABASE_URL") {
                    command.env(name, value.unwrap_or_default());
                }
            }
            path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
            command
                .env("PATH", std::env::join_paths(path).unwrap())
                .env("GITHUB_FILES", &self.files)
                .env("GITHUB_PATH", temp.path().join("path"))
                .env("GITHUB_STEP_SUMMARY", temp.path().join("summary"))
                .env("RUNNER_TEMP", temp.path())
                .envs([
                    ("CI", "true"),
                    ("GITHUB_REPOSITORY", REPOSITORY),
                    ("GITHUB_SHA", sha),
                    ("GITHUB_REF_NAME", "main"),
                ]);
            for (name, value) in [workflow, job, step].iter().filter_map(|level| level["env"].as_object()).flatten() {
                command.env(name, resolved(value.as_str().unwrap(), context));
            }
            let output = command.output().unwrap();
            outcome.code = output.status.code().filter(|_| outcome.code == 0).unwrap_or(outcome.code);
            outcome.stdout += &String::from_utf8(output.stdout).unwrap();
            outcome.stderr += &String::from_utf8(output.stderr).unwrap();
        }
        assert_eq!(foreign_commands(&outcome), Vec::<&str>::new());
        outcome
    }
}

/// Reads a workflow file.
pub(crate) fn workflow(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// What a job's token may do, in the words of the stand-in for `gh`.
fn permissions(job: &Value) -> String {
    let pairs = job["permissions"].as_object().unwrap().iter();
    pairs.map(|(name, level)| format!("{name}={}", level.as_str().unwrap())).collect::<Vec<_>>().join(",")
}

fn resolved(text: &str, context: &Context) -> String {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{ ") {
        let (name, after) = after.split_once(" }}").unwrap();
        resolved = resolved + before + context.get(name).unwrap_or_else(|| panic!("no `{name}` in this job"));
        rest = after;
    }
    resolved + rest
}

/// Finds what the runner would obey in a log and the scripts did not write.
fn foreign_commands(outcome: &Outcome) -> Vec<&str> {
    const OURS: [&str; 9] = [
        "::error::the PBX host has left nothing to plan against",
        "::error::every stage is in step, but ",
        "::error::reconcile apply ended with exit code ",
        "::error::the plan has no id, ",
        "::error::an apply of this plan would be stopped by a rail",
        "::error::nothing was applied, ",
        "::error::the program of the release ",
        "::error::there is no plan to comment on",
        "::error::what runs is not what ",
    ];
    let mut stopped: Option<&str> = None;
    let mut found = Vec::new();
    for line in outcome.stdout.lines() {
        let command = line.trim_start();
        if let Some(word) = stopped {
            if command == format!("::{word}::") {
                stopped = None;
            }
        } else if let Some(word) = command.strip_prefix("::stop-commands::") {
            stopped = Some(word);
        } else if line.contains("##[")
            || command.starts_with("::") && !OURS.iter().any(|ours| command.starts_with(ours))
        {
            found.push(line);
        }
    }
    found.extend(outcome.stderr.lines().filter(|line| line.trim_start().starts_with("::") || line.contains("##[")));
    found
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "advice.detachedHead=false"])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
