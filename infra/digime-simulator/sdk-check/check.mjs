// Drives the simulator with digi.me's official Node.js SDK: `npm install`, then
// `node check.mjs [simulator origin]`.
import { createRequire } from "node:module";
import { applicationId, baseUrl, onboardUrl, walk } from "./steps.mjs";

const { init } = createRequire(import.meta.url)("@digime/digime-sdk-nodejs");

await walk(init({ applicationId, baseUrl, onboardUrl }));
console.log("the official SDK: all steps passed");
