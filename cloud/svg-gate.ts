/**
 * What may reach the decoders of an image that somebody else made. Pure; no decoder, no network, no file.
 * A PNG or SVG is not only checked but written anew from what was checked, so that the renderer never reads a byte that
 * this file did not understand. What is not on the lists is refused; what cannot change the picture is left out.
 */
import { SaxesParser, type SaxesTagPlain } from 'saxes'

/** The largest image, in bytes. */
export const IMAGE_BYTES_MAX = 1_048_576

/** 1..4096 dots a side, at most 16 million of them; the same sum holds for all PNGs inside of one SVG. */
export const PNG_SIDE_PX_MAX = 4096
export const PNG_AREA_PX_MAX = 16_777_216

const DEPTH_MAX = 32
const ELEMENTS_MAX = 50_000
/** Of a width, a height or a viewBox, in its own units (pixels for a length). */
const SVG_SIDE_MAX = 16_384
const SVG_SIDE_MIN = 0.001
const STYLE_LENGTH_MAX = 4096
const EMBEDDED_IMAGES_MAX = 16
/** Characters of path data in a shape that is repeated by `use`: 50 000 times this is still harmless. */
const REPEATED_PATH_LENGTH_MAX = 512

export type Unreadable =
  | 'empty' | 'too large' | 'not an image' | 'broken PNG' | 'broken SVG' | 'forbidden in SVG'
  | 'too deep' | 'too many elements'
  | 'no code found' | 'more than one code' | 'payload not allowed'
  | 'timeout' | 'reader broken' | 'too busy' | 'closed'

/** Why, in words that may be logged: never a part of the image beyond the name of an element or attribute. */
export interface Refusal {
  readonly unreadable: Unreadable
  readonly text: string
}

export type ImageKind = 'PNG' | 'SVG'

/** By the bytes; names and content types are not to be trusted (omise-api.md, section 6). */
export function sniff(image: Uint8Array): ImageKind | undefined {
  if (PNG_MAGIC.every((byte, index) => image[index] === byte)) return 'PNG'
  const start = new TextDecoder().decode(image.subarray(0, 64)).trimStart()
  return /^<(\?xml[\s-]|svg[\s>/]|[A-Za-z_][\w-]*:svg[\s>/]|!--|!DOCTYPE)/.test(start) ? 'SVG' : undefined
}

export interface CleanPng {
  readonly widthPx: number
  readonly heightPx: number
  /** The same picture without the chunks that a picture does not need. */
  readonly bytes: Uint8Array
}

const PNG_MAGIC = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
/** PNG 3rd edition, 5.6; all others (text, profiles, time, animation) are left out. */
const PNG_CHUNKS: ReadonlySet<string> = new Set(['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND'])

export function cleanPng(png: Uint8Array): CleanPng | Refusal {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength)
  const kept: Uint8Array[] = [png.subarray(0, PNG_MAGIC.length)]
  let size: { readonly widthPx: number; readonly heightPx: number } | undefined
  // A chunk is length (4), type (4), data, checksum (4).
  for (let at = PNG_MAGIC.length; at + 12 <= png.byteLength;) {
    const length = view.getUint32(at)
    const end = at + 12 + length
    const type = String.fromCharCode(...png.subarray(at + 4, at + 8))
    if (end > png.byteLength) return refuse('broken PNG', 'a chunk is cut off')
    if ((type === 'IHDR') !== (size === undefined)) return refuse('broken PNG', 'the header is not where it belongs')
    if (type === 'IHDR') {
      if (length !== 13) return refuse('broken PNG', 'the header has a wrong length')
      size = { widthPx: view.getUint32(at + 8), heightPx: view.getUint32(at + 12) }
      const { widthPx, heightPx } = size
      if (widthPx === 0 || heightPx === 0) return refuse('broken PNG', 'no width or no height')
      if (widthPx > PNG_SIDE_PX_MAX || heightPx > PNG_SIDE_PX_MAX || widthPx * heightPx > PNG_AREA_PX_MAX) {
        return refuse('too large', `PNG of ${widthPx} x ${heightPx} dots`)
      }
    }
    if (PNG_CHUNKS.has(type)) kept.push(png.subarray(at, end))
    if (type === 'IEND' && size !== undefined) return { ...size, bytes: new Uint8Array(Buffer.concat(kept)) }
    at = end
  }
  return refuse('broken PNG', 'it breaks off before its end')
}

export interface CleanSvg {
  /** What the root's viewBox, or else its size, spans. */
  readonly width: number
  readonly height: number
  /** The elements, in units of which `width` by `height`, from 0 0, are to be seen. What lies outside must be cut off. */
  readonly body: string
}

export function cleanSvg(svg: Uint8Array): CleanSvg | Refusal {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(svg)
  } catch {
    return refuse('broken SVG', 'not UTF-8')
  }
  const gate = new Gate()
  try {
    return gate.pass(text)
  } catch (error) {
    if (error instanceof Refused) return error.refusal
    throw error
  }
}

/** A PNG as a picture of its own, in the form that cleanSvg gives. */
export function pictureOf(png: CleanPng): CleanSvg {
  const href = `data:image/png;base64,${Buffer.from(png.bytes).toString('base64')}`
  // Hard edges when it is enlarged: resvg takes the nearest dot for optimizeSpeed.
  const image = `<image width="${png.widthPx}" height="${png.heightPx}" image-rendering="optimizeSpeed" href="${href}"/>`
  return { width: png.widthPx, height: png.heightPx, body: image }
}

const refuse = (unreadable: Unreadable, text: string): Refusal => ({ unreadable, text })

/** Leaves the parser from inside its callbacks; never leaves this file. */
class Refused extends Error {
  readonly refusal: Refusal

  constructor(unreadable: Unreadable, text: string) {
    super(text)
    this.refusal = refuse(unreadable, text)
  }
}

/* -- The lists -------------------------------------------------------------------------------------------------------- */

interface Rule {
  test(value: string): boolean
}

/** Seven digits before the point, or thousands by an exponent: nothing in a picture of a code is that far away. */
const HUGE = /(?<![.0-9])[0-9]{7}|[eE]\+?(?:[4-9]|[0-9]{2})/

const near = (shape: RegExp): Rule => ({ test: (value) => shape.test(value) && !HUGE.test(value) })

const LENGTH_SHAPE = /^\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?)(px|mm|cm|in|pt|pc|em|%)?\s*$/
const LENGTH = near(LENGTH_SHAPE)
const NUMBERS = near(/^[eE0-9\s,.+-]*$/)
const PATH_DATA = near(/^[MmLlHhVvCcSsQqTtAaZzeE0-9\s,.+-]*$/)
const TRANSFORM = near(/^(?:\s|,|(?:matrix|translate|scale|rotate|skewX|skewY)\s*\([eE0-9\s,.+-]*\))*$/)
/** A colour, by name or numbers. No url(): nothing may point anywhere. */
const PAINT = /^\s*(?:#[0-9a-fA-F]{3,8}|[a-zA-Z]{1,24}|(?:rgb|rgba|hsl|hsla)\([0-9\s,.%/+-]*\))\s*$/
const KEYWORD = /^\s*[a-zA-Z-]{1,24}\s*$/
const OPACITY = /^\s*(?:[01]?\.?[0-9]{0,12}|[0-9.]{1,8}%)\s*$/
/** Whole-group opacity needs a layer each: only the one that changes nothing is let through. */
const OPAQUE = /^\s*(?:1|1\.0+|100%)\s*$/
const ASPECT = /^\s*(?:none|x(?:Min|Mid|Max)Y(?:Min|Mid|Max))(?:\s+(?:meet|slice))?\s*$/
const ID = /^[A-Za-z_][\w.:-]{0,127}$/

type Rules = Readonly<Record<string, Rule>>

/** What a `style` attribute or sheet may set, and, as attributes, any element. */
const PROPERTIES: Rules = {
  'fill': PAINT, 'stroke': PAINT, 'color': PAINT, 'stop-color': PAINT,
  'fill-rule': KEYWORD, 'clip-rule': KEYWORD, 'stroke-linecap': KEYWORD, 'stroke-linejoin': KEYWORD,
  'shape-rendering': KEYWORD, 'image-rendering': KEYWORD, 'text-rendering': KEYWORD, 'color-rendering': KEYWORD,
  'color-interpolation': KEYWORD, 'vector-effect': KEYWORD, 'display': KEYWORD, 'visibility': KEYWORD, 'overflow': KEYWORD,
  'fill-opacity': OPACITY, 'stroke-opacity': OPACITY, 'opacity': OPAQUE,
  'stroke-width': LENGTH, 'stroke-miterlimit': LENGTH, 'stroke-dasharray': /^\s*none\s*$/, 'stroke-dashoffset': LENGTH,
  'enable-background': /^[a-zA-Z0-9\s.+-]*$/, 'isolation': /^\s*auto\s*$/, 'mix-blend-mode': /^\s*normal\s*$/,
  'paint-order': /^[a-z\s]*$/,
}

/** What any element may have as an attribute, but a style may not set. */
const ANYWHERE: Rules = { transform: TRANSFORM }

const place: Rules = { x: LENGTH, y: LENGTH, width: LENGTH, height: LENGTH }

const ELEMENTS: Readonly<Record<string, Rules>> = {
  svg: { ...place, viewBox: NUMBERS, preserveAspectRatio: ASPECT },
  g: {},
  defs: {},
  rect: { ...place, rx: LENGTH, ry: LENGTH },
  path: { d: PATH_DATA, pathLength: LENGTH },
  circle: { cx: LENGTH, cy: LENGTH, r: LENGTH },
  ellipse: { cx: LENGTH, cy: LENGTH, rx: LENGTH, ry: LENGTH },
  polygon: { points: NUMBERS },
  polyline: { points: NUMBERS },
  line: { x1: LENGTH, y1: LENGTH, x2: LENGTH, y2: LENGTH },
  use: place,
  image: { ...place, preserveAspectRatio: ASPECT },
  style: { type: /^text\/css$/, media: /^(all|screen)$/ },
}

const SHAPES: ReadonlySet<string> = new Set(['rect', 'path', 'circle', 'ellipse', 'polygon', 'polyline', 'line'])

/** Words for people and machines, no picture: left out with all that is inside. Letters are no part of a code. */
const WORDS: ReadonlySet<string> = new Set(['title', 'desc', 'metadata', 'text'])

/** Attributes that change no picture: left out. */
const SILENT = new RegExp(`^(?:${[
  'xmlns(?::.*)?', 'xml:(?:space|lang|id)', 'xlink:(?:type|title|role|arcrole|show|actuate)',
  'data-.*', 'aria-.*', 'font-.*', 'version', 'baseProfile', 'lang', 'role', 'tabindex', 'focusable', 'zoomAndPan',
  'content(?:Style|Script)Type', 'text-anchor', '(?:letter|word)-spacing',
].join('|')})$`)

/** A size or a page's background in a style is for browsers; ours comes from the attributes. */
const STYLE_SILENT = /^(?:(?:max-|min-)?(?:width|height)|background|background-color|margin|padding)$/

/* -- The gate --------------------------------------------------------------------------------------------------------- */

/** No namespaces, no line numbers: neither is looked at. */
const PLAIN = { xmlns: false, position: false } as const

class Gate {
  private readonly out: string[] = []
  private readonly parser = new SaxesParser<typeof PLAIN>(PLAIN)
  private readonly ids = new Set<string>()
  /** Length of the data of each shape that has an id. */
  private readonly shapes = new Map<string, number>()
  /** Ids that a `use` repeats. */
  private readonly repeats: string[] = []
  private depth = 0
  private elements = 0
  private images = 0
  private imagesPx = 0
  /** Depth at which a left-out element began; 0 while nothing is left out. */
  private leftOutFrom = 0
  private styleText: string | undefined
  private prefix = ''
  private size: { readonly width: number; readonly height: number } | undefined

  pass(text: string): CleanSvg {
    const { parser } = this
    parser.on('error', () => { throw new Refused('broken SVG', 'not well-formed') })
    parser.on('doctype', () => { throw new Refused('forbidden in SVG', 'a document type') })
    parser.on('processinginstruction', () => { throw new Refused('forbidden in SVG', 'a processing instruction') })
    parser.on('opentag', (tag) => { this.open(tag) })
    parser.on('closetag', (tag) => { this.close(tag) })
    parser.on('text', (chunk) => { this.text(chunk) })
    parser.on('cdata', (chunk) => { this.text(chunk) })
    // In pieces, so that a limit is met before the parser has swallowed all of a hostile text.
    for (let at = 0; at < text.length; at += 16_384) parser.write(text.slice(at, at + 16_384))
    parser.close()
    for (const target of this.repeats) this.checkRepeat(target)
    if (this.size === undefined) throw new Refused('broken SVG', 'no picture')
    return { ...this.size, body: this.out.join('') }
  }

  private open(tag: SaxesTagPlain): void {
    this.depth += 1
    this.elements += 1
    if (this.depth > DEPTH_MAX) throw new Refused('too deep', `elements nested deeper than ${DEPTH_MAX}`)
    if (this.elements > ELEMENTS_MAX) throw new Refused('too many elements', `more than ${ELEMENTS_MAX} elements`)
    if (this.styleText !== undefined) throw new Refused('broken SVG', 'an element inside of a style sheet')
    if (this.depth === 1) this.prefix = /^([A-Za-z_][\w-]*:)svg$/.exec(tag.name)?.[1] ?? ''
    if (this.leftOutFrom !== 0) return

    const name = tag.name.startsWith(this.prefix) ? tag.name.slice(this.prefix.length) : tag.name
    if (this.depth === 1 && name !== 'svg') throw new Refused('not an image', 'XML, but no SVG')
    // Editors keep their own data in namespaces of their own; a renderer looks at none of them.
    if (WORDS.has(name) || name.includes(':')) {
      this.leftOutFrom = this.depth
      return
    }
    const rules = Object.hasOwn(ELEMENTS, name) ? ELEMENTS[name] : undefined
    if (rules === undefined) throw new Refused('forbidden in SVG', `element ${printable(name)}`)
    if (name === 'style') {
      this.styleText = ''
      return
    }
    const attributes = this.attributes(name, rules, tag.attributes)
    const isRoot = this.depth === 1
    this.out.push(isRoot ? this.root(tag.attributes, attributes) : `<${name}${written(attributes)}>`)
  }

  private close(tag: SaxesTagPlain): void {
    const name = tag.name.startsWith(this.prefix) ? tag.name.slice(this.prefix.length) : tag.name
    if (this.leftOutFrom === this.depth) this.leftOutFrom = 0
    else if (this.styleText !== undefined) {
      this.out.push(`<style>${checkedSheet(this.styleText)}</style>`)
      this.styleText = undefined
    } else if (this.leftOutFrom === 0) this.out.push(this.depth === 1 ? '</g></g>' : `</${name}>`)
    this.depth -= 1
  }

  private text(chunk: string): void {
    if (this.styleText === undefined) return
    this.styleText += chunk
    if (this.styleText.length > STYLE_LENGTH_MAX) throw new Refused('forbidden in SVG', 'a long style sheet')
  }

  /** The root becomes a group with its corner at 0 0: its own size in mm, % or nothing at all does not matter then. */
  private root(given: Record<string, string>, attributes: Map<string, string>): string {
    const viewBox = attributes.get('viewBox')?.trim().split(/[\s,]+/).map(Number)
    if (viewBox !== undefined && (viewBox.length !== 4 || !viewBox.every(Number.isFinite))) {
      throw new Refused('broken SVG', 'a viewBox without four numbers')
    }
    const [left = 0, top = 0, width = pixels(given['width']), height = pixels(given['height'])] = viewBox ?? []
    // Even beside a viewBox a size beyond all reason is a trap set for somebody's renderer.
    const sides = [width, height, pixels(given['width']), pixels(given['height'])].filter((side) => side !== undefined)
    if (sides.some((side) => side > SVG_SIDE_MAX)) {
      throw new Refused('too large', `SVG of more than ${SVG_SIDE_MAX} units a side`)
    }
    if (width === undefined || height === undefined) throw new Refused('broken SVG', 'neither a viewBox nor a size')
    if (!(width >= SVG_SIDE_MIN && height >= SVG_SIDE_MIN)) throw new Refused('broken SVG', 'no width or no height')
    this.size = { width, height }
    for (const name of ['x', 'y', 'width', 'height', 'viewBox', 'preserveAspectRatio', 'transform']) attributes.delete(name)
    return `<g transform="translate(${-left} ${-top})"><g${written(attributes)}>`
  }

  private attributes(element: string, rules: Rules, given: Record<string, string>): Map<string, string> {
    const kept = new Map<string, string>()
    for (const [name, value] of Object.entries(given)) {
      const rule = ruleOf(rules, name) ?? ruleOf(PROPERTIES, name) ?? ruleOf(ANYWHERE, name)
      if (rule !== undefined) {
        if (!rule.test(value)) throw new Refused('forbidden in SVG', `attribute ${name} of ${element} with this value`)
        kept.set(name, value)
      } else if (name === 'style') kept.set(name, checkedDeclarations(value))
      else if (name === 'class') kept.set(name, value.replace(/[^\w\s-]/g, ''))
      else if (name === 'id') this.identify(element, value, given, kept)
      else if (name === 'href' || name === 'xlink:href') kept.set('href', this.reference(element, value))
      else if (!SILENT.test(name) && !isForeign(name)) {
        throw new Refused('forbidden in SVG', `attribute ${printable(name)} of ${element}`)
      }
    }
    return kept
  }

  private identify(element: string, id: string, given: Record<string, string>, kept: Map<string, string>): void {
    if (!ID.test(id)) return
    // Twice, and the renderer might repeat the other one than we looked at.
    if (this.ids.has(id)) throw new Refused('broken SVG', 'an id that is there twice')
    this.ids.add(id)
    if (SHAPES.has(element)) this.shapes.set(id, (given['d'] ?? given['points'] ?? '').length)
    kept.set('id', id)
  }

  private reference(element: string, href: string): string {
    if (element === 'use' && href.startsWith('#')) {
      this.repeats.push(href.slice(1))
      return href
    }
    if (element === 'image') return this.embedded(href)
    throw new Refused('forbidden in SVG', `a reference from ${element} to elsewhere`)
  }

  /** A shape only: repeating a group, or another `use`, is how a few lines become millions of elements. */
  private checkRepeat(target: string): void {
    const length = this.shapes.get(target)
    if (length === undefined) throw new Refused('forbidden in SVG', 'a use of something else than a shape')
    if (length > REPEATED_PATH_LENGTH_MAX) throw new Refused('forbidden in SVG', 'a use of a long path')
  }

  private embedded(href: string): string {
    const base64 = /^\s*data:image\/png;base64,([A-Za-z0-9+/=\s]+)$/.exec(href)?.[1]
    if (base64 === undefined) throw new Refused('forbidden in SVG', 'an image that is not an embedded PNG')
    const bytes = Buffer.from(base64, 'base64')
    if (sniff(bytes) !== 'PNG') throw new Refused('broken PNG', 'an embedded image that is no PNG')
    const png = cleanPng(bytes)
    if ('unreadable' in png) throw new Refused(png.unreadable, `embedded image: ${png.text}`)
    this.images += 1
    this.imagesPx += png.widthPx * png.heightPx
    if (this.images > EMBEDDED_IMAGES_MAX) throw new Refused('too many elements', 'too many embedded images')
    if (this.imagesPx > PNG_AREA_PX_MAX) throw new Refused('too large', 'embedded images of too many dots')
    return `data:image/png;base64,${Buffer.from(png.bytes).toString('base64')}`
  }
}

/** An attribute in a namespace of an editor. `xlink:` and `xml:` mean something to a renderer, so they are not foreign. */
const isForeign = (name: string): boolean => /^(?!xlink:|xml:)[A-Za-z_][\w-]*:[\w.-]+$/.test(name)

const ruleOf = (rules: Rules, name: string): Rule | undefined => (Object.hasOwn(rules, name) ? rules[name] : undefined)

const PIXELS_PER_UNIT: Readonly<Record<string, number>> = {
  px: 1, in: 96, cm: 96 / 2.54, mm: 96 / 25.4, pt: 96 / 72, pc: 16, em: 16,
}

/** CSS pixels of a length, 96 to the inch; undefined for none, and for a share of something we do not know. */
function pixels(length: string | undefined): number | undefined {
  const [, value, unit = 'px'] = LENGTH_SHAPE.exec(length ?? '') ?? []
  const perUnit = PIXELS_PER_UNIT[unit]
  return value === undefined || perUnit === undefined ? undefined : Number(value) * perUnit
}

/** `fill:#000;stroke:none` -- every property on the list, with a value of its kind. */
function checkedDeclarations(css: string): string {
  return css.split(';').map((declaration) => {
    const text = declaration.trim()
    if (text === '') return ''
    const [, property = '', value = ''] = /^([A-Za-z-]+)\s*:([^:]*)$/.exec(text) ?? []
    const name = property.toLowerCase()
    if ((SILENT.test(name) || STYLE_SILENT.test(name)) && /^[\w\s,.'%#+-]*$/.test(value)) return ''
    if (!(ruleOf(PROPERTIES, name)?.test(value) ?? false)) {
      throw new Refused('forbidden in SVG', `style ${name === '' ? 'of this form' : `property ${printable(name)}`}`)
    }
    return `${name}:${value.trim()}`
  }).filter((text) => text !== '').join(';')
}

/** Plain rules for elements, classes and ids: no @import, no url(), no functions, no escapes. */
function checkedSheet(css: string): string {
  const text = css.replace(/\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\//g, ' ')
  const rules = [...text.matchAll(/\s*([\w\s.,#*-]{1,256})\{([^{}]*)\}\s*/gy)]
  const read = rules.reduce((length, [whole]) => length + whole.length, 0)
  if (read !== text.length && text.trim() !== '') throw new Refused('forbidden in SVG', 'a style sheet of this form')
  return rules.map(([, selector = '', declarations = '']) => `${selector.trim()}{${checkedDeclarations(declarations)}}`)
    .join('')
}

const written = (attributes: ReadonlyMap<string, string>): string =>
  Array.from(attributes, ([name, value]) => ` ${name}="${escaped(value)}"`).join('')

const escaped = (value: string): string =>
  /[&<>"]/.test(value) ? value.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`) : value

const printable = (name: string): string => name.replace(/[^\w:.-]/g, '?').slice(0, 40)
