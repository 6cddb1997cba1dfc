// Drives a vendor's own Node package against an address of ours. One JSON object comes in on stdin, lines of JSON
// go out: {"ok": …} or {"refused": …} for each call, {"message": …} for each message of a channel.
"use strict";

// Some packages talk to themselves; stdout is for the answers.
console.log = console.error;

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const peers = {
  // Calls one after the other; TOP's own client sends every call as multipart.
  async "ali-topsdk"({ url, tmc, app, secret, session, calls = [], messages = 0 }) {
    const { ApiClient, TmcClient } = require("ali-topsdk");
    if (calls.length) {
      const client = new ApiClient({ appkey: app, appsecret: secret, url });
      for (const { method, params } of calls) {
        await new Promise((done) => {
          client.execute(method, { session, ...params }, (refused, ok) => {
            tell(refused ? { refused } : { ok });
            done();
          });
        });
      }
    }
    if (!tmc) return;
    const client = new TmcClient(app, secret, "default");
    let left = messages;
    await new Promise((done) => {
      client.connect(tmc, (message, confirm) => {
        tell({ message });
        confirm();
        left -= 1;
        // The confirmation is written after this callback.
        if (left === 0) setTimeout(done, 500);
      });
    });
  },

  // The package knows hosts only: what is before the path of a call is put in here.
  async "kuaishou-merchant-open-api"({ url, prefix, app, secret, sign, method, code, calls = [] }) {
    const { default: Client } = require("kuaishou-merchant-open-api");
    const client = new Client({ appKey: app, appSecret: secret, signSecret: sign, signMethod: method, url });
    const plain = client.generateApiUrl.bind(client);
    client.generateApiUrl = (api) => {
      const full = new URL(plain(api));
      full.pathname = prefix + full.pathname;
      return full.toString();
    };
    tell({ ok: await client.getAccessTokenByCode({ code }) });
    tell({ ok: await client.getAccessTokenByRefreshToken({ refreshToken: client.refreshToken }) });
    for (const { api, verb, param } of calls) {
      await client.execute({ api, method: verb }, param).then(
        (ok) => tell({ ok }),
        (refused) => tell({ refused: refused.response ? refused.response.data : refused }),
      );
    }
  },

  async "pdd-sdk"({ url, app, secret, calls }) {
    const { default: Sdk } = require("pdd-sdk");
    require("pdd-sdk/dist/request_utils").default.defaults.baseURL = url;
    const client = new Sdk({ clientId: app, clientSecret: secret });
    for (const { type, params } of calls) {
      await client.execute(type, params).then(
        (ok) => tell({ ok }),
        (refused) => tell({ refused: refused.error_response || String(refused) }),
      );
    }
  },

  async "@wecom/crypto"({ token, key, id, sealed = [], plain = [] }) {
    const { decrypt, encrypt, getSignature } = require("@wecom/crypto");
    for (const { timestamp, nonce, encrypted } of sealed) {
      tell({ ok: { ...decrypt(key, encrypted), signature: getSignature(token, timestamp, nonce, encrypted) } });
    }
    for (const { timestamp, nonce, message } of plain) {
      const encrypted = encrypt(key, message, id);
      tell({ ok: { encrypted, signature: getSignature(token, timestamp, nonce, encrypted) } });
    }
  },
};

let given = "";
process.stdin.on("data", (part) => (given += part));
process.stdin.on("end", () => {
  const { peer, ...asked } = JSON.parse(given);
  peers[peer](asked).then(
    () => process.exit(0),
    (error) => {
      process.stderr.write(String((error && error.stack) || JSON.stringify(error)));
      process.exit(1);
    },
  );
});
