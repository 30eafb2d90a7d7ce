//! Becoming the first owner, by token and by proof.

use update::claim::{ClaimToken, TokenHash};
use update::hex;
use update::proof::{Proof, Transcript};

use super::support::{Client, PASSWORD, Running, claim_body, run, token};

const CLIENT_NONCE: [u8; 32] = [9; 32];

/// First step: what both sides saw, and the box's proof.
async fn challenge(running: &Running, client: &mut Client) -> (Transcript, Proof) {
    let body = format!(r#"{{"nonce":"{}"}}"#, hex::encode(&CLIENT_NONCE));
    let answer = client.post("/api/claim/challenge", "", &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json);
    let seen = Transcript {
        client_nonce: CLIENT_NONCE,
        box_nonce: hex::decode(answer.json["nonce"].as_str().unwrap()).unwrap(),
        ca_sha256: running.web.fingerprint().sha256,
        tls_exporter: client.exporter,
    };
    let proof = Proof::from_hex(answer.json["proof"].as_str().unwrap()).unwrap();
    (seen, proof)
}

fn proof_body(seen: &Transcript, key: &TokenHash) -> String {
    let proof = seen.owner_proof(key);
    format!(r#"{{"proof":"{proof}","name":"ada","password":"{PASSWORD}","device":"cli"}}"#)
}

#[test]
fn the_token_in_the_body_claims_the_box_once() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        let facts = client.get("/api/facts", "").await;
        assert_eq!(facts.json["claimed"], false);
        assert_eq!(facts.json["claimable"], true);
        let words = running.web.fingerprint().words;
        assert_eq!(facts.json["fingerprint_words"], serde_json::json!(words));

        let token_of_device = running.claim().await;
        let me = client.get("/api/me", &token_of_device).await;
        assert_eq!((me.status.as_u16(), &me.json["role"]), (200, &"owner".into()));
        assert_eq!(client.get("/api/facts", "").await.json["claimed"], true);

        let again = client.post("/api/claim", "", &claim_body(&token().text())).await;
        assert_eq!(again.status, 403);
        assert_eq!(again.json["reason"], "used_token");
        assert!(again.json["text"].as_str().unwrap().contains("used before"));
        assert_eq!(running.core.claims(), 1);
    });
}

#[test]
fn both_sides_prove_the_token_without_sending_it() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        let (seen, proof) = challenge(&running, &mut client).await;
        assert_eq!(proof, seen.box_proof(&token().hash()));
        let body = proof_body(&seen, &token().hash());
        let answer = client.post("/api/claim/proof", "", &body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json);
        assert_eq!(answer.json["user"], 1);
        let again = client.post("/api/claim/proof", "", &body).await;
        assert_eq!((again.status.as_u16(), &again.json["reason"]), (403, &"no_challenge".into()));
    });
}

#[test]
fn a_proof_made_for_another_connection_is_worth_nothing() {
    let running = Running::start();
    run(async {
        let (mut one, mut two) = (running.client().await, running.client().await);
        let (seen, _) = challenge(&running, &mut one).await;
        challenge(&running, &mut two).await;
        let body = proof_body(&seen, &token().hash());
        let answer = two.post("/api/claim/proof", "", &body).await;
        assert_eq!((answer.status.as_u16(), &answer.json["reason"]), (403, &"wrong_token".into()));
        let mut fresh = running.client().await;
        let answer = fresh.post("/api/claim/proof", "", &body).await;
        assert_eq!(answer.json["reason"], "no_challenge");
        assert_eq!(running.core.claims(), 0);
    });
}

#[test]
fn the_tenth_wrong_try_makes_that_address_wait_and_no_other() {
    let running = Running::start();
    run(async {
        let mut client = running.client_from("127.0.0.2").await;
        let wrong = claim_body(&ClaimToken::from_random([1; 16]).text());
        for count in 1..=10 {
            let answer = client.post("/api/claim", "", &wrong).await;
            assert_eq!(answer.status, 403);
            let told_to_wait = answer.headers.contains_key("retry-after");
            assert_eq!(told_to_wait, count == 10, "try {count}: {:?}", answer.json);
            assert!(answer.json["text"].as_str().unwrap().len() > 20);
        }
        let right = claim_body(&token().text());
        let refused = client.post("/api/claim", "", &right).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json["reason"]),
            (403, &"too_many_tries".into())
        );
        assert_eq!(running.core.claims(), 0);
        let mut other = running.client_from("127.0.0.3").await;
        assert_eq!(other.post("/api/claim", "", &right).await.status, 200);
    });
}

#[test]
fn two_claims_at_once_make_one_owner() {
    let running = Running::start();
    run(async {
        let (mut one, mut two) = (running.client().await, running.client().await);
        let body = claim_body(&token().text());
        let (one, two) =
            tokio::join!(one.post("/api/claim", "", &body), two.post("/api/claim", "", &body));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
        assert_eq!(running.core.claims(), 1);
    });
}

#[test]
fn a_box_without_a_provisioning_says_how_to_get_one() {
    let running = Running::start();
    running.web.set_claimable(None);
    run(async {
        let mut client = running.client().await;
        let answer = client.post("/api/claim", "", &claim_body(&token().text())).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["reason"]),
            (403, &"not_claimable".into())
        );
        assert!(answer.json["text"].as_str().unwrap().contains("flash"));
        assert_eq!(client.get("/api/facts", "").await.json["claimable"], false);
    });
}

#[test]
fn weak_or_malformed_fields_are_named_and_cost_no_try() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        let good = claim_body(&token().text());
        for (body, field) in [
            (good.replace(PASSWORD, "short"), "password"),
            (good.replace(PASSWORD, &"x".repeat(1025)), "password"),
            (good.replace("ada", ""), "name"),
            (good.replace("ada", &"x".repeat(129)), "name"),
            (good.replace("ada", "a\\nb"), "name"),
            (good.replace("\"device\"", "\"devise\""), ""),
            (good.replace('{', "[{"), ""),
        ] {
            let answer = client.post("/api/claim", "", &body).await;
            assert_eq!((answer.status.as_u16(), &answer.json["field"]), (400, &field.into()));
            let text = answer.json["text"].as_str().unwrap();
            assert!(!text.contains(PASSWORD) && !text.contains(&token().text()), "{text}");
        }
        assert_eq!(client.post("/api/claim", "", &good).await.status, 200);
    });
}
