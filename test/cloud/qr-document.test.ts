import { randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CodeReader, createCodeReader } from '../../cloud/qr-document.js'
import { IMAGE_BYTES_MAX } from '../../cloud/svg-gate.js'
import {
  bytesOf, chunk, header, modulesOf, ORDER_CODE, pathOf, pngFrom, pngOf, rectsOf, strokesOf, svgOf,
} from './qr-pictures.js'

// The real thread, as it is shipped: test/global-setup.ts builds it.
const workerUrl = new URL('../../dist/cloud/qr-document-worker.js', import.meta.url)
const stuckWorkerUrl = (script: string): URL => new URL(`data:text/javascript,${encodeURIComponent(script)}`)

const modules = modulesOf(ORDER_CODE)
const n = modules.length
const viewBox = `viewBox="0 0 ${n} ${n}"`
const dataPng = `data:image/png;base64,${pngOf(modules, 4, 'RGB').toString('base64')}`

let reader: CodeReader
beforeAll(async () => {
  reader = createCodeReader({ workerUrl, timeoutMs: 20_000, startTimeoutMs: 60_000 })
  expect(await reader.warm()).toBe(true)
}, 60_000)
afterAll(() => reader.close())

const readSvg = (text: string) => reader.read(bytesOf(text))

describe('the code in an image is read, whatever the image is made of', () => {
  const spans = `width="${n * 7}" height="${n * 7}" ${viewBox}`
  const svgs: Readonly<Record<string, string>> = {
    'a rect a module, with an XML declaration':
      `<?xml version="1.0" standalone="yes"?>\n${svgOf(`<rect width="${n}" height="${n}" fill="#fff"/>${rectsOf(modules)}`, spans)}`,
    'rects in nested groups, as Barby writes them':
      svgOf(`<g id="canvas"><g id="barcode" fill="#000">${rectsOf(modules, '')}</g></g>`, spans),
    'one path': svgOf(`<path d="${pathOf(modules)}"/>`, spans),
    'one path of strokes': svgOf(`<path stroke="#000" fill="none" d="${strokesOf(modules)}" shape-rendering="crispEdges"/>`, spans),
    'a group with a transform':
      svgOf(`<g transform="translate(20, 20) scale(6.5)">${rectsOf(modules)}</g>`, `width="340" height="340"`),
    'colours in style attributes': svgOf(rectsOf(modules, 'style="fill:#000;stroke:none"'), spans),
    'colours in a style sheet':
      svgOf(`<style type="text/css"><![CDATA[ /* dark */ .d, #x { fill: rgb(0,0,0) } ]]></style>${rectsOf(modules, 'class="d"')}`, spans),
    'one rect, used again and again':
      svgOf(`<defs><rect id="m" width="1" height="1"/></defs>${rectsOf(modules, '').replaceAll('<rect', '<use xlink:href="#m"')}`,
        `xmlns:xlink="http://www.w3.org/1999/xlink" ${spans}`),
    'an embedded PNG': svgOf(`<image x="0" y="0" width="${n}" height="${n}" xlink:href="${dataPng}"/>`,
      `xmlns:xlink="http://www.w3.org/1999/xlink" ${spans}`),
    'an embedded PNG, base64 in lines': svgOf(
      `<image width="300" height="300" href="${dataPng.replace(/.{76}/g, '$&\n')}"/>`, `width="300" height="300"`),
    'a viewBox only': svgOf(`<path d="${pathOf(modules)}"/>`, viewBox),
    'a viewBox that begins elsewhere':
      svgOf(`<g transform="translate(-50 30)">${rectsOf(modules)}</g>`, `viewBox="-50 30 ${n} ${n}"`),
    'no background': svgOf(rectsOf(modules), spans),
    'a size in millimetres': svgOf(rectsOf(modules), `width="41mm" height="41mm" ${viewBox}`),
    'a size in millimetres and no viewBox':
      svgOf(`<g transform="scale(3.7795)">${rectsOf(modules)}</g>`, `width="${n}mm" height="${n}mm"`),
    'a size in per cent': svgOf(rectsOf(modules), `width="100%" height="100%" ${viewBox}`),
    'large units': svgOf(`<g transform="scale(100)">${rectsOf(modules)}</g>`, `viewBox="0 0 ${n * 100} ${n * 100}"`),
    'units that are no whole dots': svgOf(`<g transform="scale(7.31)">${rectsOf(modules)}</g>`, `viewBox="0 0 ${n * 7.31} ${n * 7.31}"`),
    'no quiet zone of its own': svgOf(rectsOf(modulesOf(ORDER_CODE, 0)), `viewBox="0 0 ${n - 8} ${n - 8}"`),
    'a prefix for every element':
      `<svg:svg xmlns:svg="http://www.w3.org/2000/svg" ${viewBox}>${rectsOf(modules).replaceAll('<rect', '<svg:rect')}</svg:svg>`,
    'an editor\'s own data around it': svgOf(
      `<title>Pay</title><metadata><rdf:RDF xmlns:rdf="r"><a href="x"/></rdf:RDF></metadata>` +
      `<s:namedview xmlns:s="s" id="v"><s:grid/></s:namedview><text x="1" y="3">Scan &amp; pay</text>` +
      rectsOf(modules, 's:label="m" data-n="1"'), `version="1.1" xml:space="preserve" xmlns:s="s" ${spans}`),
    'a small code on a large page':
      svgOf(`<g transform="translate(200 90) scale(1.5)">${rectsOf(modules)}</g>`, `viewBox="0 0 ${n * 12} ${n * 12}"`),
    'a comment before the root': `<!-- made by hand -->${svgOf(rectsOf(modules), spans)}`,
  }
  for (const [markup, svg] of Object.entries(svgs)) {
    test(`SVG: ${markup}`, async () => { expect(await readSvg(svg)).toEqual({ payload: ORDER_CODE }) })
  }

  for (const colour of ['bit', 'grey', 'RGB', 'RGBA on nothing', 'palette'] as const) {
    test(`PNG: ${colour}`, async () => {
      expect(await reader.read(pngOf(modules, 6, colour))).toEqual({ payload: ORDER_CODE })
    })
  }

  test('PNG: one dot a module', async () => {
    expect(await reader.read(pngOf(modules, 1, 'grey'))).toEqual({ payload: ORDER_CODE })
  })

  test('PNG: far larger than what is searched', async () => {
    expect(await reader.read(pngOf(modules, 60, 'bit'))).toEqual({ payload: ORDER_CODE })
  })

  test('the longest text that is allowed, drawn in small modules', async () => {
    const text = `https://qr.example/${'x'.repeat(493)}`
    const many = modulesOf(text)
    expect(text.length).toBe(512)
    expect(await readSvg(svgOf(rectsOf(many), `viewBox="0 0 ${many.length} ${many.length}"`))).toEqual({ payload: text })
  })
})

describe('an image that is not one plain code is refused, and the reader goes on', () => {
  const inside = rectsOf(modules)
  const svgs: Readonly<Record<string, readonly [unreadable: string, svg: string]>> = {
    'a billion laughs': ['forbidden in SVG',
      `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">` +
      `<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>${svgOf(`<text>&c;</text>${inside}`, viewBox)}`],
    'an entity that is a file': ['forbidden in SVG',
      `<!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/passwd">]>${svgOf(`<text>&f;</text>${inside}`, viewBox)}`],
    'an entity that nobody declared': ['broken SVG', svgOf(`<text>&nbsp;</text>${inside}`, viewBox)],
    'a use bomb': ['forbidden in SVG', svgOf(
      `<defs><rect id="u0" width="1" height="1"/>${Array.from({ length: 20 }, (_, i) =>
        `<g id="u${i + 1}"><use href="#u${i}"/><use href="#u${i}"/></g>`).join('')}</defs><use href="#u20"/>`, viewBox)],
    'a use of a use': ['forbidden in SVG', svgOf(`<rect id="a" width="1" height="1"/><use id="b" href="#a"/><use href="#b"/>`, viewBox)],
    'a use of a long path': ['forbidden in SVG', svgOf(`<path id="a" d="${pathOf(modules)}"/><use href="#a"/>`, viewBox)],
    'a use of another document': ['forbidden in SVG', svgOf(`<use href="other.svg#a"/>`, viewBox)],
    'a group that takes the name of a shape': ['broken SVG',
      svgOf(`<g id="a">${inside}</g><rect id="a" width="1" height="1"/><use href="#a"/>`, viewBox)],
    '60 000 dots a side': ['too large', svgOf(inside, `width="60000" height="60000" ${viewBox}`)],
    'a viewBox of 60 000 units': ['too large', svgOf(inside, `viewBox="0 0 60000 60000"`)],
    '200 000 nested groups': ['too deep', `<svg xmlns="http://www.w3.org/2000/svg" ${viewBox}>${'<g>'.repeat(200_000)}`],
    'more elements than a code has': ['too many elements', svgOf('<g/>'.repeat(60_000), viewBox)],
    'a script': ['forbidden in SVG', svgOf(`<script>1</script>${inside}`, viewBox)],
    'an event handler': ['forbidden in SVG', svgOf(`<g onload="x()">${inside}</g>`, viewBox)],
    'foreign content': ['forbidden in SVG', svgOf(`<foreignObject/>${inside}`, viewBox)],
    'a filter': ['forbidden in SVG', svgOf(`<filter id="f"/>${inside}`, viewBox)],
    'a filter in a style': ['forbidden in SVG', svgOf(`<g style="filter:blur(900px)">${inside}</g>`, viewBox)],
    'a style that points elsewhere': ['forbidden in SVG', svgOf(`<g style="fill:url(http://example.test/p)">${inside}</g>`, viewBox)],
    'a style sheet that loads another': ['forbidden in SVG', svgOf(`<style>@import "x.css";</style>${inside}`, viewBox)],
    'a style sheet that filters': ['forbidden in SVG', svgOf(`<style>g{filter:blur(900px)}</style>${inside}`, viewBox)],
    'a clip': ['forbidden in SVG', svgOf(`<g clip-path="url(#c)">${inside}</g>`, viewBox)],
    'an image from elsewhere': ['forbidden in SVG', svgOf(`<image href="http://example.test/a.png"/>`, viewBox)],
    'an image from the disk': ['forbidden in SVG', svgOf(`<image href="file:///etc/hostname"/>`, viewBox)],
    'an SVG inside of the SVG': ['forbidden in SVG', svgOf(`<image href="data:image/svg+xml;base64,PHN2Zy8+"/>`, viewBox)],
    'an embedded bomb': ['too large', svgOf(
      `<image href="data:image/png;base64,${pngFrom(header(60_000, 60_000), []).toString('base64')}"/>`, viewBox)],
    'embedded images of too many dots together': ['too large', svgOf(
      `<image href="data:image/png;base64,${pngFrom(header(4096, 4096), []).toString('base64')}"/>`.repeat(2), viewBox)],
    'a style instruction': ['forbidden in SVG', `<?xml-stylesheet href="x.css"?>${svgOf(inside, viewBox)}`],
    'a missing end': ['broken SVG', svgOf(inside, viewBox).slice(0, -20)],
    'no size at all': ['broken SVG', svgOf(inside, '')],
    'an empty viewBox': ['broken SVG', svgOf(inside, `viewBox="0 0 0 0"`)],
    'a viewBox of nearly nothing': ['broken SVG', svgOf(inside, `viewBox="0 0 1e-38 1e-38"`)],
    'a stroke around the world': ['forbidden in SVG',
      svgOf(`<ellipse rx="1e38" ry="5" stroke="#000" stroke-width="99999999"/>${inside}`, viewBox)],
    'a viewBox of words': ['forbidden in SVG', svgOf(inside, `viewBox="0 0 wide high"`)],
    'XML that is no SVG': ['not an image', `<?xml version="1.0"?><html/>`],
    'two codes': ['more than one code', svgOf(
      `${inside}<g transform="translate(${n} 0)">${rectsOf(modulesOf('https://example.test/other'))}</g>`, `viewBox="0 0 ${n * 2} ${n}"`)],
    'the same code twice': ['more than one code',
      svgOf(`${inside}<g transform="translate(${n} 0)">${inside}</g>`, `viewBox="0 0 ${n * 2} ${n}"`)],
    'white on black': ['no code found', svgOf(
      `<rect x="-9" y="-9" width="${n * 2}" height="${n * 2}"/>${rectsOf(modules, 'fill="#fff"')}`, viewBox)],
    'a code beyond the edge': ['no code found', svgOf(`<g transform="translate(${n - 3} 0)">${inside}</g>`, viewBox)],
    'a code cut at the edge': ['no code found', svgOf(rectsOf(modulesOf(ORDER_CODE, 0)), `viewBox="2 0 ${n - 10} ${n - 8}"`)],
    'nothing drawn': ['no code found', svgOf('', viewBox)],
    'a text of too many characters': ['payload not allowed', (() => {
      const many = modulesOf('x'.repeat(513))
      return svgOf(rectsOf(many), `viewBox="0 0 ${many.length} ${many.length}"`)
    })()],
    'a text beyond ASCII': ['payload not allowed', (() => {
      const thai = modulesOf('จ่าย')
      return svgOf(rectsOf(thai), `viewBox="0 0 ${thai.length} ${thai.length}"`)
    })()],
  }
  for (const [what, [unreadable, svg]] of Object.entries(svgs)) {
    test(`SVG: ${what}`, async () => { expect(await readSvg(svg)).toMatchObject({ unreadable }) })
  }

  const png = pngOf(modules, 4, 'grey')
  const images: Readonly<Record<string, readonly [unreadable: string, image: Uint8Array]>> = {
    'no bytes': ['empty', new Uint8Array()],
    'two megabytes': ['too large', bytesOf(svgOf(' '.repeat(2_000_000), viewBox))],
    'one byte too many': ['too large', new Uint8Array(IMAGE_BYTES_MAX + 1)],
    'random bytes': ['not an image', Buffer.concat([Buffer.from([0]), randomBytes(4096)])],
    'a page of text': ['not an image', bytesOf('<html><body>502 Bad Gateway</body></html>')],
    'a JPEG': ['not an image', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46])],
    'an SVG that is not UTF-8': ['broken SVG', Buffer.concat([Buffer.from('<svg '), Buffer.from([0xff, 0xfe])])],
    'a PNG cut in the middle': ['broken PNG', png.subarray(0, png.length >> 1)],
    'a PNG without its end': ['broken PNG', png.subarray(0, png.length - 12)],
    'a PNG of 60 000 dots a side': ['too large', pngFrom(header(60_000, 60_000), [])],
    'a PNG of 4096 by 4097 dots': ['too large', pngFrom(header(4096, 4097), [])],
    'a PNG without width': ['broken PNG', pngFrom(header(0, 5), [])],
    'a PNG whose few bytes unfold to 16 million dots': ['no code found',
      pngFrom(header(4096, 4096), [chunk('IDAT', deflateSync(Buffer.alloc(4097 * 4096)))])],
    'a PNG whose data goes on for 64 megabytes behind its last dot': ['no code found',
      pngFrom(header(64, 64), [chunk('IDAT', deflateSync(Buffer.alloc(64_000_000)))])],
    'a PNG whose data is noise': ['no code found', pngFrom(header(64, 64), [chunk('IDAT', randomBytes(512))])],
  }
  for (const [what, [unreadable, image]] of Object.entries(images)) {
    test(what, async () => { expect(await reader.read(image)).toMatchObject({ unreadable }) })
  }

  test('after all of them the next code is read', async () => {
    expect(await reader.read(png)).toEqual({ payload: ORDER_CODE })
  })
})

describe('the thread', () => {
  test('a stuck image is given up, and those behind it are read by a new thread', async () => {
    // Fifty thousand pictures, each of the whole page and half transparent, are within every limit but that of time.
    const slow = svgOf(`<rect width="${n}" height="${n}" fill="#777" fill-opacity="0.5"/>`.repeat(14_000), viewBox)
    const impatient = createCodeReader({ workerUrl, timeoutMs: 700, startTimeoutMs: 60_000 })
    const png = pngOf(modules, 4, 'grey')
    await impatient.warm()
    const [first, second] = await Promise.all([impatient.read(bytesOf(slow)), impatient.read(png)])
    expect(first).toMatchObject({ unreadable: 'timeout' })
    expect(second).toEqual({ payload: ORDER_CODE })
    await impatient.close()
  }, 60_000)

  test('a thread that never loads its decoders is given up', async () => {
    const lame = createCodeReader({ workerUrl: stuckWorkerUrl('for (;;);'), startTimeoutMs: 300 })
    expect(await lame.read(bytesOf('<svg/>'))).toMatchObject({ unreadable: 'timeout' })
    expect(await lame.warm()).toBe(false)
    await lame.close()
  })

  test('a thread that spins on an image is ended', async () => {
    const script = `import { parentPort } from 'node:worker_threads'
      parentPort.on('message', () => { for (;;); }); parentPort.postMessage({ news: 'ready' })`
    const spinning = createCodeReader({ workerUrl: stuckWorkerUrl(script), timeoutMs: 200 })
    const both = await Promise.all([spinning.read(bytesOf('<svg/>')), spinning.read(bytesOf('<svg/>'))])
    expect(both).toMatchObject([{ unreadable: 'timeout' }, { unreadable: 'timeout' }])
    await spinning.close()
  })

  test('a thread that dies on an image answers for it and is replaced', async () => {
    // Says how many images this very thread has seen.
    const script = `import { parentPort } from 'node:worker_threads'
      let seen = 0
      parentPort.on('message', ({ job, image }) => {
        seen += 1
        if (image.length === 0) process.exit(1)
        if (image.length === 1) throw new Error('x')
        parentPort.postMessage({ news: 'done', job, reading: { payload: String(seen) }, reusable: image.length !== 2 })
      }); parentPort.postMessage({ news: 'ready' })`
    const mortal = createCodeReader({ workerUrl: stuckWorkerUrl(script) })
    const readings = await Promise.all([3, 3, 0, 3, 1, 3, 2, 3].map((length) => mortal.read(new Uint8Array(length))))
    const [dead, seen] = [{ unreadable: 'reader broken' }, (count: string) => ({ payload: count })]
    expect(readings).toMatchObject([seen('1'), seen('2'), dead, seen('1'), dead, seen('1'), seen('2'), seen('1')])
    await mortal.close()
  })

  test('a worker that is not there is an answer, not a crash', async () => {
    const lost = createCodeReader({ workerUrl: new URL('./nowhere.js', import.meta.url) })
    expect(await lost.read(bytesOf('<svg/>'))).toMatchObject({ unreadable: 'reader broken' })
    await lost.close()
  })

  test('more images than may wait are turned away, and closing answers those that wait', async () => {
    const busy = createCodeReader({ workerUrl: stuckWorkerUrl('for (;;);'), queueMax: 2 })
    const waiting = [1, 2, 3].map(() => busy.read(bytesOf('<svg/>')))
    await expect(waiting[2]).resolves.toMatchObject({ unreadable: 'too busy' })
    await busy.close()
    expect(await Promise.all(waiting.slice(0, 2))).toMatchObject([{ unreadable: 'closed' }, { unreadable: 'closed' }])
    expect(await busy.read(bytesOf('<svg/>'))).toMatchObject({ unreadable: 'closed' })
  })

  test('an image is copied: the caller may use its memory again at once', async () => {
    const png = pngOf(modules, 4, 'grey')
    const memory = new Uint8Array(png)
    const reading = reader.read(memory)
    memory.fill(0)
    expect(await reading).toEqual({ payload: ORDER_CODE })
  })
})
