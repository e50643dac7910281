//! A shared cache by RFC 9111: what may be stored, for whom, how long, and how it is forgotten in time.
//!
//! What the RFC asks of a shared cache, and the test that holds it; the names are checked to be those of tests.
//!
//! | RFC 9111 | a shared cache | held by |
//! |---|---|---|
//! | §2 | MUST key answers by method and target at least | `hosts_schemes_methods_and_spellings_are_pages_of_their_own` `host_scheme_path_and_query_are_in_it` |
//! | §2 | (QUERY, RFC 10008) its content too | `the_content_of_a_query_is_part_of_its_key` |
//! | §3 | MUST NOT store for a method it does not understand | `section_3_only_safe_methods_are_stored` |
//! | §3 | MUST NOT store a status it does not understand | `section_3_a_status_must_be_understood` |
//! | §3 | MUST NOT store what `no-store` forbids, in either message | `section_3_no_store_forbids_in_either_message` |
//! | §3 | MUST NOT store what is `private` | `section_3_private_answers_are_not_for_a_shared_cache_unless_the_user_is_in_the_key` |
//! | §3 | MUST NOT store without a lifetime that is said | `section_4_2_2_nothing_is_guessed` `a_route_s_lifetime_fills_in_and_overrides_only_when_told` |
//! | §3.1 | MUST store all fields but those of the connection | `what_is_stored_has_all_fields_but_those_of_the_connection` |
//! | §3.2 | MUST update stored fields, but for those of the body | `freshening_replaces_fields_but_for_those_of_the_body` |
//! | §3.3 | MUST NOT serve an incomplete answer as a whole one | `a_body_that_breaks_off_is_cut_for_everyone_and_not_stored` `section_3_3_parts_are_not_stored` |
//! | §3.4 | MAY combine parts | not done: parts are not stored |
//! | §3.5 | MUST NOT share answers to credentials unless permitted | `section_3_5_credentials_need_permission` `credentials_and_cookies_are_not_shared` `an_identity_that_a_step_found_counts_like_credentials_and_private_gives_each_user_their_own` |
//! | §4 | MUST NOT reuse what is stale without validation or permission | `section_4_2_fresh_until_its_lifetime_is_over` `an_answer_is_asked_for_once_and_served_until_it_is_stale` |
//! | §4 | MUST generate `Age` when it reuses | `a_stored_answer_tells_its_age` |
//! | §4 | MUST write unsafe requests through | `what_a_successful_change_made_stale_is_forgotten` |
//! | §4 | MAY collapse requests, for an answer that all may use | `a_thousand_who_ask_at_once_cost_the_service_one_call` `what_is_for_one_client_only_makes_no_queue` |
//! | §4.1 | MUST match the fields of `Vary` | `answers_differ_by_the_fields_the_service_names` `variants_are_found_by_the_fields_they_differ_in` |
//! | §4.1 | `*` MUST NOT match | `section_4_1_vary_star_matches_nothing` |
//! | §4.2 | MUST take a malformed lifetime for stale (SHOULD), of several the most restrictive | `a_senseless_number_means_stale` `of_two_lifetimes_the_shorter_rules` |
//! | §4.2.1 | MUST heed `s-maxage`, then `max-age`, then `Expires` | `section_4_2_1_s_maxage_then_max_age_then_expires` |
//! | §4.2.2 | MUST NOT guess where a lifetime is said | `section_4_2_2_nothing_is_guessed` |
//! | §4.2.3 | age: the worst of `Age`, `Date` and the time on the way | `section_4_2_3_age_is_the_worst_of_what_is_said_and_what_the_date_implies` |
//! | §4.2.4 | MUST NOT serve stale what forbids it | `section_5_2_1_2_max_stale_is_served_unless_the_answer_forbids_it` `rfc_5861_stale_if_error_lasts_as_long_as_said` |
//! | §4.2.4 | stale when disconnected, only where it is allowed | `a_stale_answer_stands_in_for_a_service_that_is_gone` |
//! | §4.3.1 | validates with the stored validators | `a_stale_answer_is_confirmed_by_its_validator` |
//! | §4.3.2 | evaluates a client's own conditions | `a_client_that_has_it_already_is_told_so_and_parts_are_cut_from_what_is_stored` `a_tag_in_the_list_is_enough_weak_or_strong` `dates_count_where_there_are_no_tags` |
//! | §4.3.3 | 304 reuses, a whole answer replaces, 5xx passes or the stale one stands in | `a_stale_answer_is_confirmed_by_its_validator` `a_stale_answer_stands_in_for_a_service_that_fails` |
//! | §4.3.4 | freshens what was confirmed | `freshening_replaces_fields_but_for_those_of_the_body` |
//! | §4.3.5 | HEAD from what GET brought | `a_head_request_is_answered_from_what_get_brought_and_the_other_way_round` |
//! | §4.4 | MUST invalidate after a successful unsafe request, MUST NOT for other hosts | `what_a_successful_change_made_stale_is_forgotten` |
//! | §5.1 | `Age` is a number; the first counts | `section_4_2_3_age_is_the_worst_of_what_is_said_and_what_the_date_implies` |
//! | §5.2 | directives in any case, both forms of arguments, unknown ones passed over | `directives_are_read_whatever_their_case_and_spacing` `arguments_may_be_quoted_and_hold_commas` `unknown_directives_are_passed_over` |
//! | §5.2.1 | what a client asks, where it may | `section_5_2_1_what_a_client_asks_is_heeded_where_it_may` `a_client_s_wish_for_a_fresh_answer_reaches_the_service_only_where_it_may` |
//! | §5.2.2.3 | `must-understand` | `section_5_2_2_3_no_store_gives_way_where_the_status_is_understood` |
//! | §5.2.2.4 | `no-cache` MUST be validated each time | `section_5_2_2_4_no_cache_is_stored_and_always_asked_about` |
//! | §5.3 | an invalid `Expires` is past | `section_5_3_an_expires_that_is_no_date_has_passed` |
//! | §5.4 | `Pragma` only without `Cache-Control` | `pragma_counts_only_where_there_is_no_cache_control` |
//! | §7.1 | poisoning | `fields_in_no_key_do_not_reach_what_others_get` `the_content_of_a_get_is_no_part_of_an_answer_for_all` `an_error_made_on_purpose_is_not_what_others_get` |
//! | §7.2, §7.3 | what is one user's stays so; `Set-Cookie` | `what_is_private_is_not_stored_under_any_disguise` `cookies_are_never_handed_to_others` |
//! | RFC 5861 | stale while it is refreshed, or in place of an error | `rfc_5861_stale_while_revalidate_lasts_as_long_as_said` `a_stale_answer_is_served_while_one_request_refreshes_it` |
//! | RFC 8246 | `immutable` | `rfc_8246_a_reload_does_not_ask_about_what_does_not_change` |
//! | RFC 9211 | `Cache-Status` | `an_answer_is_asked_for_once_and_served_until_it_is_stale` |
//! | RFC 9213 | targeted fields: the most specific rules alone | `the_most_specific_targeted_field_rules_alone` |

pub mod answer;
pub mod content;
pub mod control;
pub mod entry;
pub mod freshness;
pub mod key;
pub mod purge;
pub mod space;
pub mod value;

pub use entry::Entry;
pub use key::Key;
pub use space::Space;
