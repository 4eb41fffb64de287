// Takes the journeys with digi.me's official Node.js SDK: `node check.mjs [simulator origin]`. README.md says how to
// build the SDK.
import { createRequire } from "node:module";
import { applicationId, baseUrl, onboardUrl } from "./harness.mjs";
import { walk } from "./steps.mjs";

const { init } = createRequire(import.meta.url)("@digime/digime-sdk-nodejs");

await walk(init({ applicationId, baseUrl, onboardUrl }));
console.log("the official SDK: all steps passed");
