//! `reconcile plan`.

use super::support::{TestEnv, desired};

#[test]
fn plan_moves_nothing() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana", "email: bo@example.com, name: Bo"]));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Anna"]));
    let (dump, files) = (env.dump(), env.files());
    let outcome = env.run("plan --detailed-exitcode").expect(2);
    assert!(outcome.stdout.contains("unchecked: the running Asterisk: "), "{}", outcome.text());
    assert_eq!(env.dump(), dump);
    assert_eq!(env.files(), files);
}
