/**
 * The code document: a payload as the SVG or PNG that Omise would serve. Pure.
 */
import { encodeQR } from 'qr'
import type { ImageFormat } from './objects.js'
import { blackAndWhitePng } from './png.js'
import type { Switches } from './switches.js'

export interface CodeImage {
  readonly contentType: string
  readonly bytes: Buffer
}

/** Light modules around the code (ISO/IEC 18004, 6.3.8). */
const QUIET_ZONE = 4
const MODULE_PX = 8

export function codeImage(payload: string, format: ImageFormat, style: Pick<Switches, 'svgStyle' | 'documentBackground'>): CodeImage {
  const modules = encodeQR(payload, 'raw', { ecc: 'medium', border: QUIET_ZONE })
  const transparent = style.documentBackground === 'transparent'
  switch (format) {
    case 'png': return { contentType: 'image/png', bytes: blackAndWhitePng(enlarge(modules), transparent) }
    case 'svg': return { contentType: 'image/svg+xml', bytes: Buffer.from(svg(modules, style.svgStyle, transparent)) }
  }
}

type Modules = readonly (readonly boolean[])[]

function svg(modules: Modules, style: Switches['svgStyle'], transparent: boolean): string {
  const size = modules.length
  const sizePx = size * MODULE_PX
  const paper = transparent ? '' : `<rect x="0" y="0" width="${size}" height="${size}" fill="#ffffff"/>\n`
  const open = (attributes: string) => `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1" ${attributes}>
`
  const inPixels = open(`width="${sizePx}" height="${sizePx}" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges"`)
  switch (style) {
    case 'rects':
      return `${inPixels}${paper}<g id="barcode" fill="#000">\n${rects(modules)}\n</g>\n</svg>\n`
    case 'path':
      return `${inPixels}${paper}<path fill="#000000" d="${path(modules)}"/>\n</svg>\n`
    case 'viewBox only':
      return `${open(`viewBox="0 0 ${size} ${size}"`)}${paper}<path d="${path(modules)}"/>\n</svg>\n`
    case 'embedded png': {
      const png = blackAndWhitePng(enlarge(modules), transparent).toString('base64')
      return `${open(`width="${sizePx}" height="${sizePx}"`)}` +
        `<image x="0" y="0" width="${sizePx}" height="${sizePx}" xlink:href="data:image/png;base64,${png}"/>\n</svg>\n`
    }
  }
}

/** One rect for each run of dark modules in a row. */
const rects = (modules: Modules): string =>
  runs(modules).map(({ x, y, length }) => `<rect x="${x}" y="${y}" width="${length}" height="1"/>`).join('\n')

const path = (modules: Modules): string => runs(modules).map(({ x, y, length }) => `M${x} ${y}h${length}v1h-${length}z`).join('')

function runs(modules: Modules): readonly { readonly x: number; readonly y: number; readonly length: number }[] {
  return modules.flatMap((row, y) => {
    const found = []
    for (let x = 0; x < row.length; x++) {
      let length = 0
      while (row[x + length] === true) length++
      if (length > 0) found.push({ x, y, length })
      x += length
    }
    return found
  })
}

const enlarge = (modules: Modules): Modules =>
  modules.flatMap((row) => {
    const wide = row.flatMap((dark) => Array.from({ length: MODULE_PX }, () => dark))
    return Array.from({ length: MODULE_PX }, () => wide)
  })
