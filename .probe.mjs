import { createCodeReader } from './dist/cloud/qr-document.js'
import { deflateSync, crc32 } from 'node:zlib'
import encodeQR from 'qr'
const enc=s=>new TextEncoder().encode(s)
const m = encodeQR('https://qr.alipay.com/281002040009876543210987654321ABCDEF?x=1', 'raw', { ecc: 'medium', border: 4 })
const n=m.length
const chunk=(t,d)=>{const b=Buffer.concat([Buffer.from(t,'latin1'),d]);const e=Buffer.alloc(8);e.writeUInt32BE(d.length,0);e.writeUInt32BE(crc32(b),4);return Buffer.concat([e.subarray(0,4),b,e.subarray(4)])}
const png=(side,k)=>{const raw=Buffer.alloc(side*(side+1),255);for(let y=0;y<side;y++){raw[y*(side+1)]=0;const r=m[Math.floor(y/k)];if(r)r.forEach((d,x)=>{if(d)raw.fill(0,y*(side+1)+1+x*k,y*(side+1)+1+(x+1)*k)})}
const h=Buffer.alloc(13);h.writeUInt32BE(side,0);h.writeUInt32BE(side,4);h[8]=8;return Buffer.concat([Buffer.from([0x89,80,78,71,13,10,26,10]),chunk('IHDR',h),chunk('IDAT',deflateSync(raw)),chunk('IEND',Buffer.alloc(0))])}
const r=createCodeReader(); await r.warm()
for(const [s,k] of [[4096,99],[4096,20],[4096,6],[2000,40],[456,11],[300,7]]){const p=png(s,k);let t;let res;const ts=[];for(let i=0;i<9;i++){t=performance.now();res=await r.read(p);ts.push(performance.now()-t)}console.log(s,k,p.length,res.payload?'ok':res,ts.sort((a,b)=>a-b)[4].toFixed(1))}
let rects='',path=''
m.forEach((row,y)=>row.forEach((d,x)=>{ if(d) {rects+=`<rect x="${x}" y="${y}" width="1" height="1" fill="#000"/>`;path+=`M${x} ${y}h1v1h-1z`} }))
for (const [name,svg] of [['rects',`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="300" height="300" viewBox="0 0 ${n} ${n}"><rect width="${n}" height="${n}" fill="white"/><g id="canvas">${rects}</g></svg>`],['path',`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n} ${n}"><path d="${path}"/></svg>`]]) {
 const ts=[]; let res
 for(let i=0;i<100;i++){const t=performance.now(); res=await r.read(enc(svg)); ts.push(performance.now()-t)}
 ts.sort((a,b)=>a-b); console.log(name,svg.length,res.payload?'ok':res,'median',ts[50].toFixed(2),'p95',ts[95].toFixed(2))
}
console.log(process.memoryUsage().rss/1e6)
