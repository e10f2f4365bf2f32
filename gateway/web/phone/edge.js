// This phone as an edge: sensors -> batcher -> spool -> two lanes -> station, as edge/agent.py has it for a Pi.

import { read, write } from "./idb.js";
import { Keeper } from "./keeper.js";
import * as policy from "./policy.js";
import { Recorder } from "./recorder.js";
import { Sender } from "./sender.js";
import * as settings from "./settings.js";
import { Spool } from "./spool.js";
import { enrol, parsed, post } from "./station.js";

const ASIDE_SHOWN = 20;

export class Edge {
  /** @param {IDBDatabase} db @param {boolean} asks_for_proof  keep every body, so that the station can be checked against it */
  static async open(db, asks_for_proof) {
    if (asks_for_proof) await write(db, "keeps_made", true);
    const { quota } = (await navigator.storage.estimate?.()) ?? {};
    const size_bytes_max = policy.limit(quota, await read(db, "spool_bytes_max"));
    const spool = await Spool.open(db, { size_bytes_max, keeps_made: (await read(db, "keeps_made")) === true });
    return new Edge(db, spool, (await read(db, "enrolment")) ?? null, (await read(db, "settings")) ?? settings.NONE);
  }

  /** The token lies in IndexedDB in the clear: a page has no safer place for a secret that it must send itself (a key that
   * cannot be exported signs, but is no bearer token).  It may only send this device's readings, and can be revoked.  It is
   * never in an address or in localStorage.
   * @param {IDBDatabase} db @param {Spool} spool @param {import("./station.js").Enrolled | null} enrolment
   * @param {settings.State} handed_down */
  constructor(db, spool, enrolment, handed_down) {
    this.db = db;
    this.spool = spool;
    this.enrolment = enrolment;
    this.keeper = new Keeper(spool);
    this.recorder = new Recorder(this.keeper, () => this.device);
    this.settings = handed_down;
    this.recorder.follow(settings.meaning(handed_down));
    const way = this.#way();
    this.lanes = { live: new Sender("live", way), backlog: new Sender("backlog", way) };
    this.spool.onChange = () => {
      for (const lane of Object.values(this.lanes)) lane.wake.set();
    };
    this.disk_trouble = "";
    /** @type {Awaited<ReturnType<Spool["asides"]>>} */ this.asides = []; // the newest, newest first
  }

  #stopping = new AbortController();

  get device() {
    return this.enrolment?.device ?? "";
  }

  /** Begin to send; recording begins with a tap. */
  async run() {
    if (this.enrolment) this.recorder.begin();
    addEventListener("online", () => this.tryNow());
    document.addEventListener("visibilitychange", () => this.#seen());
    addEventListener("pagehide", () => {
      this.keeper.hurry = true;
      this.recorder.flush();
    });
    await this.#listAsides();
    for (const lane of Object.values(this.lanes)) void lane.run(this.#stopping.signal);
  }

  /** Become a device by a code; "" or why not.  While something is kept, the code must be for the same device: the
   * batches name it, and nobody else's token can send them. @param {string} code */
  async enrol(code) {
    const answer = await enrol(code, this.#isBound() ? this.device : null);
    if ("why" in answer) return answer.why;
    const is_new = answer.device !== this.device;
    if (is_new && this.#isBound()) return `Something was recorded for ${this.device} meanwhile. When it is sent, ask for a new code.`;
    try {
      await write(this.db, "enrolment", answer); // before anything is sent with it: a reload must not lose it
      await write(this.db, "settings", settings.NONE); // their versions are counted anew for each enrolment
    } catch (error) {
      console.warn("the token could not be stored:", error);
      return "The code was good, but this browser could not store what it gave. Free some room on the phone, then ask for a new code.";
    }
    this.enrolment = answer;
    this.#follow(settings.NONE);
    if (is_new) this.recorder.begin();
    this.tryNow();
    return "";
  }

  #isBound() {
    const { batches, aside_batches } = this.spool.totals;
    return this.device !== "" && (this.recorder.isRecording || this.recorder.unkept > 0 || batches + aside_batches > 0);
  }

  /** Forget the device, its token and all that is kept. */
  async forget() {
    await this.recorder.stop();
    await this.keeper.settled();
    this.keeper.clear();
    try {
      await this.spool.clear();
      await write(this.db, "enrolment", null);
      await this.#listAsides();
    } catch (error) {
      return this.#troubled(error); // it is not forgotten, and the page says why
    }
    this.disk_trouble = "";
    this.enrolment = null; // last: whoever is told that this phone is nobody's finds nothing of its time on the disk
  }

  /** Send again what the station refused for good; how many batches. */
  async sendRefused() {
    const batches = await this.spool.retryAsides();
    await this.#listAsides();
    this.tryNow();
    return batches;
  }

  /** Delete it, up to this key of `asides`; how many batches. @param {number} key */
  async deleteRefused(key) {
    const batches = await this.spool.deleteAsides(key);
    await this.#listAsides();
    return batches;
  }

  /** End all waits: something may have changed. */
  tryNow() {
    for (const lane of Object.values(this.lanes)) lane.poke();
  }

  /** Everything as it is now, for `view`. */
  status() {
    const { spool, recorder, keeper, lanes } = this;
    return {
      device: this.device,
      is_enrolled: this.enrolment !== null,
      is_recording: recorder.isRecording,
      recorded_ms: recorder.started_ms === null ? 0 : performance.now() - recorder.started_ms,
      rates: recorder.isRecording ? recorder.gauge.rates(performance.now()) : {},
      last: recorder.gauge.last,
      trouble: recorder.sensors.trouble,
      implausible: recorder.implausible,
      is_screen_refused: recorder.isRecording && recorder.screen.is_refused,
      kept_readings: spool.totals.readings + recorder.unkept,
      totals: spool.totals,
      size_bytes_max: spool.size_bytes_max,
      storage: keeper.trouble || this.disk_trouble,
      session: recorder.session,
      off: recorder.off,
      period_ms: recorder.period_ms,
      alarm: lanes.live.news.alarm || lanes.backlog.news.alarm,
      alarm_status: lanes.live.news.alarm_status || lanes.backlog.news.alarm_status,
      failing: [lanes.live.news, lanes.backlog.news].find((news) => news.failed > 0) ?? null,
      is_online: navigator.onLine,
      asides: this.asides,
      now_ms: Date.now(),
    };
  }

  /** @returns {import("./sender.js").Way} */
  #way() {
    return {
      spool: this.spool,
      post: (row) => post(row, this.enrolment?.token ?? "", this.recorder.now_us(row.epoch), settings.report(this.settings)),
      isReady: () => this.enrolment !== null,
      onHeard: async (answer) => {
        this.disk_trouble = "";
        for (const { news, again } of Object.values(this.lanes)) if (news.failed && !news.is_answered) again.set(); // the station is back
        await this.#offered(parsed(answer.text).settings).catch((error) => this.#troubled(error));
      },
      onAside: () => this.#listAsides(),
      onOutageEnd: async () => this.recorder.begin(),
      onTrouble: (error) => this.#troubled(error),
    };
  }

  /** @param {unknown} error */
  #troubled(error) {
    this.disk_trouble = "failed";
    console.warn("the spool failed:", error);
  }

  /** Take up what came with a receipt; what cannot be kept is offered again. @param {any} offered */
  async #offered(offered) {
    const next = settings.taken(this.settings, offered);
    if (next === this.settings) return;
    await write(this.db, "settings", next);
    this.#follow(next);
  }

  /** @param {settings.State} state */
  #follow(state) {
    this.settings = state;
    this.recorder.follow(settings.meaning(state));
  }

  async #listAsides() {
    this.asides = await this.spool.asides(ASIDE_SHOWN);
  }

  /** A hidden page may be frozen or ended without another word. */
  #seen() {
    const is_hidden = document.visibilityState === "hidden";
    this.keeper.hurry = is_hidden;
    if (is_hidden) this.recorder.flush();
    else this.tryNow();
  }
}
