//! A transaction pooler between the program and the server: statements of one session may reach
//! the server by different connections, and nothing of a session is kept.

use std::thread;

use super::{
    Case, case,
    database::Cluster,
    day::{ANA, ANA_CHANGED, BO, CY, Day},
    live_through,
};
use crate::support::{Server, TestEnv};

fn cases() -> Vec<Case> {
    vec![
        case("apply by way of a transaction pooler", &[ANA, BO], &[ANA, BO, CY]),
        case("apply again by way of it", &[ANA, BO], &[ANA, BO]).sees(0, &["No changes.", "Live: no file changed"]),
        case("plan by way of it", &[ANA, BO], &[ANA_CHANGED, BO]).runs(|day| {
            day.run("plan --detailed-exitcode").expect(2);
            day.run("apply")
        }),
        case("four writers at once by way of it", &[ANA, BO], &[ANA, BO, CY]).runs(|day| {
            let outcomes: Vec<_> = thread::scope(|scope| {
                let env = &day.env;
                let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| env.run("sync"))).collect();
                runs.into_iter().map(|run| run.join().expect("it ends")).collect()
            });
            for outcome in outcomes {
                day.hear(&outcome);
                outcome.expect(0);
            }
            day.run("apply")
        }),
        case("another host's apply at the same time by way of it", &[ANA, BO], &[ANA, BO, CY]).runs(|day| {
            let other = TestEnv::new();
            other.write("pbx.yaml", &super::day::desired(&[ANA, BO, CY]));
            let outcome = thread::scope(|scope| {
                let mut there = day.env.command(&["apply", "--no-reload"]);
                there
                    .env("ASTERISK_CONFIG_DIR", other.path("asterisk/etc"))
                    .env("RECONCILE_STATE_DIR", other.path("state"));
                let there = scope.spawn(move || there.env("RECONCILE_HOST", "other").output().expect("reconcile runs"));
                let here = day.env.run("apply");
                assert!(there.join().expect("it ends").status.success());
                here
            });
            day.hear(&outcome);
            outcome
        }),
    ]
}

#[test]
fn a_transaction_pooler() {
    let cluster = Cluster::start(&["max_connections=20"]);
    let folder = tempfile::Builder::new().prefix("rc-pool-").tempdir_in("/tmp").expect("a folder").keep();
    let pooler = Server::start("pgbouncer", &folder, &[&cluster.address(), "-c", "default_pool_size=3"]);
    let mut env = TestEnv::with_asterisk();
    env.database = Some(pooler.ready.clone());
    let mut day = Day::on(env);
    day.cluster = Some(cluster);
    live_through("pooler", &mut day, &cases());
}
