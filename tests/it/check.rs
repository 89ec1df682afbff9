//! `reconcile check`: every problem in one run, each with its place, code and hint.

use super::support::{TestEnv, desired};

fn check(text: &str) -> String {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", text);
    env.run("check").text()
}
