// SPDX-License-Identifier: Apache-2.0
// Computes, compiles, collects garbage, works in threads, serves and asks; for node.
const crypto = require('crypto'), zlib = require('zlib'), http = require('http');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) {
    let sum = 0n;
    for (let i = 0n; i < 20000n; i++) sum += (i * i) % BigInt(workerData + 2);
    parentPort.postMessage(sum.toString());
} else (async () => {
    let data = 'x';
    for (let i = 0; i < 3000; i++) data += crypto.createHash('sha256').update(data).digest('hex');
    console.log(crypto.createHash('sha512').update(data).digest('base64'));
    console.log(zlib.gunzipSync(zlib.gzipSync(data)).length, 2n ** 500n % 1000000007n);
    const list = Array.from({ length: 50000 }, (_, i) => (i * 7919) % 50021);
    console.log(list.sort((a, b) => a - b).filter(n => n % 997 === 0).join(' '));
    console.log(JSON.stringify({ a: [1.1, 1e21, -0, NaN], d: new Date(0) }));
    console.log('\u00e4\u00f6\u00fc'.normalize('NFD').length);
    console.log(data.replace(/([0-9])([a-f]+)/g, '<$2$1>').slice(0, 300));
    const f = new Function('n',
        'let t = 0; for (let i = 0; i < n; i++) t = (t * 31 + i) | 0; return t');
    console.log(f(3e7), Math.hypot(3, 4), Math.sin(1), Math.pow(2, 0.5));
    console.log(await Promise.all([1, 2, 3, 4].map(n => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: n });
        worker.on('message', resolve); worker.on('error', reject);
    }))));
    const server = http.createServer((q, s) => s.end(q.url.toUpperCase())).listen(0, '127.0.0.1');
    await new Promise(resolve => server.on('listening', resolve));
    const get = path => new Promise((resolve, reject) => http.get({ port: server.address().port,
        host: '127.0.0.1', path, agent: false }, r => { let t = ''; r.on('data', d => t += d);
        r.on('end', () => resolve(t)); }).on('error', reject));
    const pages = Array.from({ length: 50 }, (_, i) => get('/page' + i));
    console.log((await Promise.all(pages)).join(' '));
    server.close();
    const out = require('child_process').execFileSync(process.execPath, ['-p', '6*7']);
    console.log(out.toString().trim());
    for (let i = 0; i < 50; i++) {
        const junk = [];
        for (let j = 0; j < 20000; j++) junk.push({ j, s: 'a' + j });
    }
    console.log('end');
})();
