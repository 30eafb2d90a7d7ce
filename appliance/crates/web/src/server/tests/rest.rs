//! Accounts, devices, health, backups and the web client.

use sha2::{Digest, Sha256};

use super::support::{PASSWORD, Running, login_body, request, run};

#[test]
fn people_sign_in_and_out_and_only_managers_add_users() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        let bo = r#"{"name":"bo","password":"another pass","role":"member"}"#;
        let added = client.post("/api/users", &owner, bo).await;
        assert_eq!((added.status.as_u16(), &added.json["user"]), (201, &2.into()));
        let taken = client.post("/api/users", &owner, bo).await;
        assert_eq!((taken.status.as_u16(), &taken.json["field"]), (409, &"name".into()));
        let second_owner = bo.replace("member", "owner");
        assert_eq!(client.post("/api/users", &owner, &second_owner).await.status, 403);

        let session = client.post("/api/login", "", &login_body("bo", "another pass")).await;
        assert_eq!(session.status, 200);
        let member = session.json["token"].as_str().unwrap();
        let refused = client.post("/api/users", member, &bo.replace("bo", "cy")).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json["reason"]),
            (403, &"not_allowed".into())
        );
        assert_eq!(client.get("/api/backup", member).await.status, 403);
        let users = client.get("/api/users", member).await;
        assert_eq!(users.json["users"].as_array().unwrap().len(), 2);
        assert!(!String::from_utf8_lossy(&users.body).contains("argon2"));

        assert_eq!(client.post("/api/logout", member, "{}").await.status, 200);
        assert_eq!(client.get("/api/me", member).await.status, 401);
    });
}

#[test]
fn a_device_can_be_revoked_by_its_own_user_alone() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        let session = client.post("/api/login", "", &login_body("ada", PASSWORD)).await;
        let lost = session.json["token"].as_str().unwrap();
        let devices = client.get("/api/devices", &owner).await;
        assert_eq!(devices.json["devices"][1]["label"], "laptop");
        let gone = client.send(request("DELETE", "/api/devices/2", &owner, "")).await;
        assert_eq!(gone.status, 200);
        assert_eq!(client.get("/api/me", lost).await.status, 401);
        let twice = client.send(request("DELETE", "/api/devices/2", &owner, "")).await;
        assert_eq!(twice.status, 404);
    });
}

#[test]
fn wrong_name_and_wrong_password_get_the_same_answer_and_the_tenth_waits() {
    let running = Running::start();
    run(async {
        running.claim().await;
        let mut client = running.client().await;
        let unknown = client.post("/api/login", "", &login_body("eve", PASSWORD)).await;
        for _ in 0..10 {
            let wrong = client.post("/api/login", "", &login_body("ada", "wrong one")).await;
            assert_eq!((wrong.status, &wrong.json), (unknown.status, &unknown.json));
        }
        let waiting = client.post("/api/login", "", &login_body("Ada", PASSWORD)).await;
        assert_eq!(waiting.status, 429);
        assert!(waiting.headers.contains_key("retry-after"));
        let mut elsewhere = running.client_from("127.0.0.4").await;
        let session = elsewhere.post("/api/login", "", &login_body("ada", PASSWORD)).await;
        assert_eq!(session.status, 200);
    });
}

#[test]
fn a_flood_of_logins_is_answered_busy_and_everybody_gets_an_answer() {
    let running = Running::start();
    run(async {
        running.claim().await;
        let mut logins = Vec::new();
        for number in 0..90 {
            let mut client = running.client_from(&format!("127.0.0.{}", 10 + number % 3)).await;
            let body = login_body(&format!("ghost{number}"), "some password");
            logins.push(tokio::spawn(async move { client.post("/api/login", "", &body).await }));
        }
        let mut counts = [0; 2];
        for login in logins {
            let answer = login.await.unwrap();
            match answer.status.as_u16() {
                403 => counts[0] += 1,
                503 => {
                    assert_eq!(answer.json["reason"], "busy");
                    assert!(answer.headers.contains_key("retry-after"));
                    counts[1] += 1;
                }
                other => panic!("unexpected status {other}: {:?}", answer.json),
            }
        }
        assert!(counts[0] >= 66 && counts[1] > 0, "{counts:?}");
    });
}

#[test]
fn the_owners_backup_ends_with_its_checksum() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        let answer = client.get("/api/backup", &owner).await;
        assert_eq!(answer.body, "one two three");
        assert_eq!(answer.headers["x-linnet-bytes"], "13");
        let expected = update::hex::encode(&Sha256::digest(&answer.body));
        assert_eq!(answer.trailers["x-linnet-sha256"], expected);
    });
}

#[test]
fn health_lines_are_for_people_who_signed_in() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        let stranger = client.get("/api/health", "").await;
        assert_eq!((stranger.status.as_u16(), &stranger.json["ok"]), (200, &true.into()));
        assert_eq!(stranger.json["items"], serde_json::json!([]));
        let owner = client.get("/api/health", &owner).await;
        assert_eq!(owner.json["items"][0]["name"], "card_space");
    });
}

#[test]
fn figures_are_for_those_who_manage_the_box() {
    let running = Running::start();
    run(async {
        let owner = running.claim().await;
        let mut client = running.client().await;
        assert_eq!(client.get("/api/figures", "").await.status, 401);
        for (name, role, status) in [("bo", "member", 403), ("cy", "admin", 200)] {
            let body = format!(r#"{{"name":"{name}","password":"{PASSWORD}","role":"{role}"}}"#);
            assert_eq!(client.post("/api/users", &owner, &body).await.status, 201);
            let session = client.post("/api/login", "", &login_body(name, PASSWORD)).await;
            let token = session.json["token"].as_str().unwrap();
            assert_eq!(client.get("/api/figures", token).await.status, status, "{role}");
        }
        let figures = client.get("/api/figures", &owner).await.json;
        assert_eq!((&figures["sessions"], &figures["card"]["kind"]), (&3.into(), &"SD".into()));
        assert!(figures["temperature_millidegrees"].is_null(), "{figures}");
    });
}

#[test]
fn the_web_client_is_served_at_every_place_inside_it() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        for path in ["/", "/rooms/7"] {
            let page = client.get(path, "").await;
            assert_eq!(page.body, "<!doctype html>client", "{path}");
            assert_eq!(page.headers["cache-control"], "no-cache");
        }
        assert_eq!(client.get("/missing.js", "").await.status, 404);
    });
}
