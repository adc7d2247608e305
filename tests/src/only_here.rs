//! The end-to-end tests that cannot go through a server, each with its reason.
//!
//! `PV_TEST_SERVER=1 cargo test --test e2e` runs all others through one. `scripts/only-here.sh` runs these through one too, and names those
//! that pass: they need not be listed any more.

/// A process of its own owns the store, so no server can.
const OWNS: &str = "starts an owner of the store";
/// What is under test is the store's folder.
const OPENS: &str = "changes or copies the store's folder";
/// What is under test is how a process of this machine ends.
const ENDS: &str = "ends processes at named points";

/// A server's engine stays, and so do its sandboxes.
const WARM: &str = "an engine that stays keeps containers for the next datum";

/// It lists all tokens.
const TOKEN: &str = "a call through a server has a token itself";

/// Tests, by their path or that of their module, and why they need the store's own machine.
pub const ONLY_HERE: &[(&str, &str)] = &[
    ("api", "starts servers itself"),
    ("beside::a_client_that_is_killed_is_forgotten_and_the_owner_goes_on", OWNS),
    ("beside::a_put_beside_a_run_is_processed_by_that_run", OWNS),
    ("beside::a_put_that_began_before_the_run_lands", OWNS),
    ("beside::a_second_run_and_a_wait_end_with_the_job", OWNS),
    ("beside::a_term_signal_ends_a_run_with_143", OWNS),
    ("beside::ctrl_c_leaves_nothing_behind_and_keeps_what_is_done", OWNS),
    ("beside::pipelines_applied_beside_a_run_are_run_by_it", OWNS),
    ("beside::status_and_jobs_tell_how_far_it_is", OWNS),
    ("bounds", OWNS),
    ("chain", ENDS),
    ("checkpoint::a_journal_that_was_cut_back_or_goes_another_way_is_not_proven", OPENS),
    ("checkpoint::a_store_contains_the_checkpoints_that_it_signed_and_says_what_came_since", OPENS),
    ("damage::a_damaged_journal_is_put_together_again_or_taken_from_a_mirror", OPENS),
    ("damage::a_flipped_bit_never_comes_out_as_data", OPENS),
    ("damage::a_lost_pack_and_a_lost_format_come_back", OPENS),
    ("damage::a_pack_without_its_index_costs_nothing_and_is_written_anew", OPENS),
    ("damage::an_output_is_made_again_by_its_recipe", OPENS),
    ("damage::an_output_that_rests_on_another_is_made_after_it", OPENS),
    ("damage::what_gives_other_bytes_now_heals_nothing", OPENS),
    ("damage::what_reaches_the_network_is_not_run_for_a_repair_unless_that_is_allowed", OPENS),
    ("deploy::log_lines_are_json_and_name_the_request_that_caused_them", "starts a server itself"),
    ("failures::a_container_that_is_killed_from_outside", WARM),
    ("fsck::a_journal_that_lost_its_end_is_damage_and_not_made_true_by_a_new_index", OPENS),
    ("first_week::a_stage_runs_again_from_a_saved_image_when_engine_and_registry_have_lost_it", WARM),
    ("forged", OPENS),
    ("gc_beside", OWNS),
    ("hints::beside_an_engine_that_takes_jobs_there_is_only_something_to_wait_for", OWNS),
    ("key::a_key_is_replaced_beside_an_engine_that_runs", OWNS),
    ("key::a_key_that_others_may_read_is_refused_and_reading_needs_none", OPENS),
    ("key::the_key_can_be_elsewhere", "a server has the key of its own machine"),
    ("kill", ENDS),
    ("known", "tests what this machine remembers of stores"),
    ("notify", "starts servers itself"),
    ("objects::a_mirror_is_made_again_into_a_store", OPENS),
    ("objects::a_store_in_a_folder_elsewhere_lives_through_the_loss_of_its_own", OPENS),
    ("objects::a_store_in_s3_lives_through_the_loss_of_its_folder", OPENS),
    ("outage", OPENS),
    ("outcome::a_command_whose_owner_dies_before_its_answer_says_that_the_outcome_is_not_known", OWNS),
    ("outcome::a_last_step_whose_owner_dies_before_its_answer_is_made_once", OWNS),
    ("owner", OWNS),
    ("remote", "starts servers itself"),
    ("page", "starts servers itself"),
    ("run::a_timeout_ends_the_run_and_keeps_what_is_done", "beside an engine that stays, --timeout ends only the wait"),
    (
        "run::docker_that_does_not_answer_is_unavailable_and_never_replaced",
        "a server uses the container engine of its own machine",
    ),
    (
        "run::jobs_wait_for_disk_and_use_no_tries",
        "an engine that stays waits until the disk has space, and so does its caller",
    ),
    (
        "run::no_job_of_a_diamond_mixes_generations",
        "beside an engine that stays, a run ends with the jobs that were there when it began",
    ),
    ("screen::less_ends_by_itself_when_all_fits_and_an_owner_prints_to_it_too", OWNS),
    ("secret::stages_see_secrets_and_nothing_else_does", "a server mirrors to no folder of another machine"),
    ("serve", OWNS),
    ("server_keys", "starts servers itself"),
    ("server_load", "starts servers itself"),
    ("server_page", "starts servers itself"),
    ("stranger", "starts servers itself"),
    (
        "status::specs_and_code_that_are_not_what_was_applied_are_said",
        "the store's own machine remembers which files were applied",
    ),
    ("threat", OPENS),
    ("through", "starts servers itself"),
    ("token::names_are_unique_among_tokens_that_work_and_revoked_ones_are_gone", TOKEN),
    ("token::what_is_not_a_role_a_glob_or_a_time_is_refused", TOKEN),
    ("verify::a_commit_whose_signature_is_gone_is_not_proven", OPENS),
    ("verify::a_store_whose_signatures_were_taken_away_is_not_proven", OPENS),
    ("verify::one_flipped_byte_is_found_and_named_whatever_it_is_in", OPENS),
    ("waiting", ENDS),
    ("watch::a_folder_with_more_folders_than_may_be_watched_is_looked_at_and_that_is_said", "its pv is in a namespace"),
    ("watch::a_full_disk_is_said_once_and_what_fits_is_committed", OPENS),
    ("watch::a_watch_that_is_stopped_prints_the_commit_that_it_makes_at_that_moment", ENDS),
    ("watch::nothing_is_lost_or_doubled_when_watchers_and_servers_are_killed", OWNS),
    ("watch::the_store_keeps_watches_which_serve_runs", OWNS),
    ("watch::what_a_watch_commits_is_processed_by_the_engine", OWNS),
    ("watching::a_follower_that_stands_still_holds_no_datum_up", OWNS),
    ("watching::what_an_engine_left_behind_is_seen_without_it", OWNS),
    ("watching::whoever_follows_gets_every_line_once", OWNS),
    ("workers", "starts servers itself"),
];

/// Why a test cannot go through a server; `None` if it can.
pub fn reason(test: &str) -> Option<&'static str> {
    let is_in = |listed: &str| test.strip_prefix(listed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    ONLY_HERE.iter().find(|(listed, _)| is_in(listed)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_entry_is_a_module_or_a_test_that_exists_and_is_listed_once() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e");
        for (number, (listed, why)) in ONLY_HERE.iter().enumerate() {
            let (module, test) = listed.split_once("::").unwrap_or((listed, ""));
            let files = [format!("{module}.rs"), format!("{module}/mod.rs")].map(|file| folder.join(file));
            let source = files.iter().find_map(|file| std::fs::read_to_string(file).ok()).expect(listed);
            assert!(test.is_empty() || source.contains(&format!("\nfn {test}(")), "{listed}");
            assert!(!why.is_empty());
            let others = ONLY_HERE.iter().enumerate().filter(|(other, _)| *other != number);
            assert!(others.into_iter().all(|(_, (other, _))| *other != module && other != listed), "{listed} twice");
        }
        assert_eq!(reason("chain::a"), reason("chain"));
        assert_eq!(reason("chained::a"), None);
    }
}
