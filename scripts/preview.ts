/**
 * Draws every screen on every panel in four languages, for the documents and for the eye: one file a picture, one contact
 * sheet a panel, one sheet of all panels, and a list of the distances from which it can be read. After a build:
 *
 *   node dist/scripts/preview.js [directory]     draws into out/preview, or the directory
 *   node dist/scripts/preview.js --accept        what is drawn now is what test/golden/ shall hold from now on
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createCanvas, type Image, loadImage } from 'canvas'
import { encodePng } from '../drivers/panel/png.js'
import { drawnWith, everyPicture, GOLDEN, GOLDEN_SHEETS, goldenLines, type Pictures, sheetOf } from './golden.js'
import { distancesOf } from './readable.js'

const USAGE = `Draws every screen on every panel in four languages.

  node dist/scripts/preview.js [directory]   into the directory, or out/preview: one picture a screen, one sheet a panel,
                                             sheet-of-all-panels.png, distances.txt
  node dist/scripts/preview.js --accept      what is drawn now is what test/golden/ holds from now on
  node dist/scripts/preview.js --help        says this
`

const GAP_PX = 12
const LABEL_PX = 22
/** On the sheet of all panels, so that it is some 2000 dots wide; larger pictures are made smaller. */
const CELL_PX = 320
/** On the sheet of all panels, in the site's own language each. */
const TELLING = ['enter-amount', 'scan-to-pay', 'checking', 'paid', 'not-paid-insufficient', 'set-up'] as const

async function main(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  const all: Row[] = []
  const distances: string[] = []
  for (const [panel, { size, pictures }] of everyPicture()) {
    const columns: Image[][] = []
    for (const [language, screens] of pictures) {
      const column: Image[] = []
      for (const [screen, { frame }] of screens) {
        const png = encodePng(frame)
        await writeFile(join(directory, `${panel}-${language}-${screen}.png`), png)
        column.push(await loadImage(png))
      }
      columns.push(column)
    }
    await writeFile(join(directory, `sheet-${panel}.png`), contactSheet(columns))
    all.push({ label: panel, images: telling(pictures, columns) })
    distances.push(...distancesOf(panel, size, pictures))
  }
  await writeFile(join(directory, 'sheet-of-all-panels.png'), sheetOfRows(all))
  await writeFile(join(directory, 'distances.txt'), `${distances.join('\n')}\n`)
}

/** One screen in each language, then the rest in the first. */
function telling(pictures: Pictures, columns: readonly (readonly Image[])[]): Image[] {
  const names = [...[...pictures.values()][0]?.keys() ?? []]
  return TELLING.flatMap((name, i) => columns[i % columns.length]?.[names.indexOf(name)] ?? [])
}

/** Columns side by side, each row as high as its highest picture. */
function contactSheet(columns: readonly (readonly Image[])[]): Buffer {
  const widths = columns.map((column) => Math.max(...column.map(({ width }) => width)) + GAP_PX)
  const rows = Array.from({ length: Math.max(...columns.map(({ length }) => length)) }, (_, j) =>
    Math.max(...columns.map((column) => column[j]?.height ?? 0)) + GAP_PX)
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const canvas = createCanvas(sum(widths) + GAP_PX, sum(rows) + GAP_PX)
  const context = canvas.getContext('2d')
  context.fillStyle = '#667'
  context.fillRect(0, 0, canvas.width, canvas.height)
  columns.forEach((column, i) => {
    column.forEach((image, j) => { context.drawImage(image, GAP_PX + sum(widths.slice(0, i)), GAP_PX + sum(rows.slice(0, j))) })
  })
  return canvas.toBuffer('image/png')
}

interface Row {
  readonly label: string
  readonly images: readonly Image[]
}

/** One row a panel, with its name above. */
function sheetOfRows(rows: readonly Row[]): Buffer {
  const fitted = rows.map(({ label, images }) => ({
    label, images: images.map((image) => {
      const scale = Math.min(1, CELL_PX / image.width)
      return { image, width: Math.round(image.width * scale), height: Math.round(image.height * scale) }
    }),
  }))
  const heights = fitted.map(({ images }) => LABEL_PX + Math.max(...images.map(({ height }) => height)) + GAP_PX)
  const columns = Math.max(...rows.map(({ images }) => images.length))
  const canvas = createCanvas(columns * (CELL_PX + GAP_PX) + GAP_PX, heights.reduce((sum, height) => sum + height, GAP_PX))
  const context = canvas.getContext('2d')
  context.fillStyle = '#667'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.fillStyle = '#fff'
  context.font = '14px "DejaVu Sans"'
  let y = GAP_PX
  fitted.forEach(({ label, images }, i) => {
    context.fillText(label, GAP_PX, y + LABEL_PX - 8)
    images.forEach(({ image, width, height }, j) => { context.drawImage(image, GAP_PX + j * (CELL_PX + GAP_PX), y + LABEL_PX, width, height) })
    y += heights[i] ?? 0
  })
  return canvas.toBuffer('image/png')
}

async function accept(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  const lines: string[] = []
  for (const [panel, { size, pictures }] of everyPicture()) {
    lines.push(...goldenLines(panel, pictures))
    if (GOLDEN_SHEETS.includes(panel)) await writeFile(join(directory, GOLDEN.sheet(panel)), encodePng(sheetOf(size, pictures)))
  }
  await writeFile(join(directory, GOLDEN.lines), `${lines.join('\n')}\n`)
  await writeFile(join(directory, GOLDEN.drawnWith), `${JSON.stringify(drawnWith(), null, 2)}\n`)
}

function argumentsOrExit(): { readonly directory: string; readonly accept: boolean } {
  const options = { accept: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } } as const
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    if (!values.help) return { directory: positionals[0] ?? 'out/preview', accept: values.accept }
    process.stdout.write(USAGE)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exit(2)
  }
}

const asked = argumentsOrExit()
await (asked.accept ? accept('test/golden') : main(asked.directory))
