// Says of SNS messages whether Amazon's own check takes them. Standard input is a line of JSON for each: {"message": {...}, "certificate": "PEM"};
// standard output, a line for each: {"valid": true} or {"valid": false, "why": "..."}. Nothing is fetched: where the check asks for the
// certificate, it gets the one of the line.
'use strict';

const https = require('https');
const readline = require('readline');
const { Readable } = require('stream');

let certificate = '';
https.get = (_, answer) => {
  const res = Readable.from([certificate]);
  res.statusCode = 200;
  answer(res);
  return res;
};

const Validator = require('sns-validator');

async function main() {
  let line = 0;
  for await (const text of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const { message, certificate: pem } = JSON.parse(text);
    certificate = pem;
    // It keeps certificates by their address for ever; another address for each message keeps them apart.
    message.SigningCertURL = message.SigningCertURL.replace(/\.pem$/, `${line++}.pem`);
    const verdict = await new Promise((done) => {
      new Validator().validate(message, (err) => done(err ? { valid: false, why: err.message } : { valid: true }));
    });
    process.stdout.write(JSON.stringify(verdict) + '\n');
  }
}

main();
