/**
 * The bench page: shows what the bench says over /live, sends keys back, and plays the customer's phone.
 * The phone knows only what it reads from the panel's pixels. Text from outside becomes text nodes, never markup.
 */

const byId = (id) => document.getElementById(id)

const RECONNECT_MS = 400
const RECONNECT_MS_MAX = 4000
const TIMELINE_MAX = 500
const DECODE_MS = 600
/** How long the phone looks for a code, and its pause between two looks. */
const SCAN_MS = 6_000
const SCAN_PAUSE_MS = 200
/** Longer than the bench itself waits for the wallet. */
const REQUEST_MS = 70_000
const INK = [0x17, 0x19, 0x1b]
const PAPER = [0xe9, 0xe8, 0xe3]

/* ---- the connection ---- */

let socket
let reconnectMs = RECONNECT_MS
let terminalHere = false

function connect() {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  socket = new WebSocket(`${scheme}://${location.host}/live`)
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => {
    reconnectMs = RECONNECT_MS
    byId('banner').hidden = true
  })
  socket.addEventListener('message', ({ data }) => {
    if (typeof data === 'string') hear(JSON.parse(data))
    else showPicture(data)
  })
  socket.addEventListener('close', () => {
    byId('banner').hidden = false
    showLink('lost', 'Bench not reachable')
    terminalHere = false
    showLamps('off')
    setTimeout(connect, reconnectMs)
    reconnectMs = Math.min(reconnectMs * 2, RECONNECT_MS_MAX)
  })
}

function hear(message) {
  switch (message.type) {
    case 'bench':
      byId('story').hidden = message.story === null
      byId('story').textContent = message.story ?? ''
      byId('register').hidden = message.registerPath === null
      byId('register-path').textContent = message.registerPath ?? ''
      return
    case 'terminal':
      terminalHere = message.connected
      showLink(message.connected ? 'here' : 'waiting', message.connected ? 'Terminal connected' : 'Waiting for the terminal')
      if (message.connected && drawn === undefined) sizePanel(message.panel.widthPx, message.panel.heightPx)
      byId('no-picture').textContent = message.connected ? 'No picture yet' : 'Waiting for the terminal to start'
      if (message.connected) hint()
      return
    case 'lamps':
      return showLamps(message.pattern)
    case 'timeline':
      return showEntries(message.entries, message.fresh)
    case 'register':
      return registerSaid(message.line)
  }
}

function showLink(state, text) {
  byId('link').dataset.state = state
  byId('link-text').textContent = text
}

/* ---- the panel: one canvas pixel for each dot ---- */

const panel = byId('panel')
const paper = panel.getContext('2d', { willReadFrequently: true })
let drawn

function sizePanel(widthPx, heightPx) {
  if (panel.width !== widthPx) panel.width = widthPx
  if (panel.height !== heightPx) panel.height = heightPx
  fitPanel()
}

function showPicture(buffer) {
  const header = new DataView(buffer)
  const widthPx = header.getUint16(8)
  const heightPx = header.getUint16(10)
  const bits = new Uint8Array(buffer, 12)
  const strideBytes = Math.ceil(widthPx / 8)
  sizePanel(widthPx, heightPx)
  const image = paper.createImageData(widthPx, heightPx)
  for (let y = 0; y < heightPx; y += 1) {
    for (let x = 0; x < widthPx; x += 1) {
      const dark = (bits[y * strideBytes + (x >> 3)] & (0x80 >> (x & 7))) !== 0
      image.data.set(dark ? INK : PAPER, (y * widthPx + x) * 4)
      image.data[(y * widthPx + x) * 4 + 3] = 255
    }
  }
  paper.putImageData(image, 0, 0)
  drawn = header.getUint32(4)
  panel.dataset.number = String(drawn)
  panel.setAttribute('aria-label', `The terminal's panel, ${widthPx} by ${heightPx} dots`)
  byId('no-picture').hidden = true
  showInFinder()
}

/** A dot becomes a whole number of the screen's own pixels; only a window too small for that gets a reduced picture. */
function fitPanel() {
  const ratio = window.devicePixelRatio || 1
  const stacked = matchMedia('(max-width: 720px)').matches
  const widest = stacked ? panel.parentElement.clientWidth - 16 : 430
  const highest = stacked ? 420 : 340
  const scale = Math.floor(Math.min(widest / panel.width, highest / panel.height) * ratio) / ratio
  const reduced = scale <= 0
  const shown = reduced ? Math.min(widest / panel.width, highest / panel.height) : scale
  panel.classList.toggle('reduced', reduced)
  panel.style.width = `${panel.width * shown}px`
  panel.style.height = `${panel.height * shown}px`
}

/** What the phone's camera sees. */
function showInFinder() {
  const finder = byId('finder')
  finder.width = panel.width
  finder.height = panel.height
  finder.getContext('2d').drawImage(panel, 0, 0)
}

/* ---- the lamps: colour, rhythm and words ---- */

/** Ten ticks of the rhythm, drawn beside the words for whoever cannot see it blink. */
const LAMPS = {
  'off':            { text: 'Lamps off',           rhythm: '..........', words: 'dark' },
  'ready':          { text: 'Ready',               rhythm: '##########', words: 'steady, dim' },
  'working':        { text: 'Working',             rhythm: '##..##..##', words: 'once a second' },
  'waiting':        { text: 'Waiting for payment', rhythm: '####.####.', words: 'once a second, long' },
  'checking':       { text: 'Checking',            rhythm: '#.#.#.#.#.', words: 'twice a second' },
  'paid':           { text: 'Paid',                rhythm: '##########', words: 'steady' },
  'not paid':       { text: 'Not paid',            rhythm: '#.#.......', words: 'two short' },
  'offline':        { text: 'Offline',             rhythm: '#####.....', words: 'slow' },
  'out of service': { text: 'Out of service',      rhythm: '#.#.#.....', words: 'three short, then a pause' },
}

function showLamps(pattern) {
  const { text, rhythm, words } = LAMPS[pattern] ?? LAMPS.off
  if (byId('lightbar').dataset.pattern !== pattern) byId('lightbar').dataset.pattern = pattern
  byId('lamps').dataset.pattern = pattern
  byId('lamps-text').textContent = text
  byId('lamps-words').textContent = `, ${words}`
  byId('lamps').title = `Lamps: ${words}`
  byId('rhythm').replaceChildren(...Array.from(rhythm, (tick, index) => {
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    for (const [name, value] of Object.entries({ x: index * 6, y: 1, width: 4.5, height: 8, rx: 1.2 })) bar.setAttribute(name, value)
    if (tick === '#') bar.classList.add('lit')
    return bar
  }))
}

/* ---- the keys ---- */

const inputOf = (key) => /^[0-9]$/.test(key) ? { type: 'digit pressed', digit: key } : { type: `${key} pressed` }

function press(key) {
  if (!terminalHere || socket.readyState !== WebSocket.OPEN) return hint('The terminal is not running. Start it, then type an amount.')
  hint()
  socket.send(JSON.stringify({ type: 'press', input: inputOf(key) }))
}

const hintWords = [...byId('hint').childNodes]

function hint(alarm) {
  byId('hint').classList.toggle('alarm', alarm !== undefined)
  byId('hint').replaceChildren(...(alarm === undefined ? hintWords : [alarm]))
}

const KEY_OF = { Enter: 'enter', Escape: 'cancel', Backspace: 'clear', Delete: 'clear' }

function listenToKeys() {
  for (const button of document.querySelectorAll('.key')) {
    button.addEventListener('pointerdown', (event) => event.preventDefault())   // A click leaves Enter to mean OK.
    button.addEventListener('click', () => press(button.dataset.key))
  }
  document.addEventListener('keydown', (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target.closest('input')) return
    const key = /^[0-9]$/.test(event.key) ? event.key : KEY_OF[event.key]
    if (key === undefined || (key === 'enter' && event.target.closest('button, a'))) return
    event.preventDefault()
    const button = document.querySelector(`.key[data-key="${key}"]`)
    button.classList.add('down')
    setTimeout(() => button.classList.remove('down'), 130)
    press(key)
  })
}

/* ---- the phone ---- */

const phone = byId('phone')
const ENDINGS = {
  paid:              { title: 'Paid', say: 'Look at the terminal: it hears of it from the bank.', good: true },
  payment_rejected:  { title: 'Rejected', say: 'You turned the payment down. No money moved.', good: false },
  insufficient_fund: { title: 'Not enough money', say: 'Your balance is too low. No money moved.', good: false },
  failed_processing: { title: 'Bank error', say: 'The bank could not process it. No money moved.', good: false },
}
const SCAN_WORDS = 'Hold me to the code, then press Scan.'
let bill

function phoneStep(step, words) {
  phone.dataset.step = step
  if (words !== undefined) byId('phone-live').textContent = words
}

async function scan() {
  phoneStep('scanning')
  byId('scan').disabled = true
  scanSay('Looking for a code…')
  const found = await lookForCode()
  const answer = found === undefined ? { problem: 'No code in sight' } : await post('/phone/scan', { payload: found })
  byId('scan').disabled = false
  if (answer.problem !== undefined) {
    phoneStep('idle', answer.problem)
    scanSay(answer.problem, true)
    byId('scan').focus()
    return
  }
  scanSay(SCAN_WORDS)
  bill = { ...answer, payload: found }
  showBill()
}

function scanSay(text, alarm = false) {
  byId('scan-say').textContent = text
  byId('scan-say').classList.toggle('alarm', alarm)
}

/** As a phone does: it looks on for a while, since the code may be drawn only now. */
async function lookForCode() {
  for (const until = Date.now() + SCAN_MS; Date.now() < until;) {
    const found = await readPanel()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, SCAN_PAUSE_MS))
  }
  return undefined
}

/** Nothing but the pixels that are on the panel now. */
async function readPanel() {
  const { decodeQR } = await import('/vendor/qr/decode.js')
  const { width, height, data } = paper.getImageData(0, 0, panel.width, panel.height)
  try {
    return decodeQR({ width, height, data }, { timeLimit: DECODE_MS })
  } catch {
    return undefined   // Whatever the decoder missed, there was no readable code.
  }
}

const STATUS_WORDS = {
  successful: 'This code has already been paid.',
  failed: 'The payment for this code failed.',
  expired: 'This code has expired.',
  reversed: 'This payment was given back.',
}

function showBill() {
  byId('merchant').textContent = bill.merchant
  byId('sum').textContent = bill.amount
  const closed = STATUS_WORDS[bill.status]
  byId('bill-say').textContent = closed ?? ''
  byId('bill-say').classList.toggle('alarm', closed !== undefined)
  for (const button of document.querySelectorAll('[data-outcome]')) button.disabled = closed !== undefined
  phoneStep('bill', `Pay ${bill.amount} to ${bill.merchant}. ${closed ?? ''}`)
  if (closed === undefined) document.querySelector('[data-outcome="paid"]').focus({ preventScroll: true })
  else byId('back').focus({ preventScroll: true })
}

async function decide(outcome) {
  phoneStep('paying')
  byId('bill-say').classList.remove('alarm')
  byId('bill-say').textContent = 'One moment…'
  for (const button of document.querySelectorAll('[data-outcome]')) button.disabled = true
  const answer = await post('/phone/pay', { payload: bill.payload, outcome })
  const ending = answer.problem === undefined ? ENDINGS[outcome] : { title: 'Not confirmed', say: answer.problem, good: false }
  phone.dataset.ending = ending.good ? 'good' : 'bad'
  byId('result-title').textContent = ending.title
  byId('result-sum').textContent = `${bill.amount}`
  byId('result-say').textContent = ending.say
  phoneStep('result', `${ending.title}, ${bill.amount}. ${ending.say}`)
  byId('done').focus({ preventScroll: true })
}

function putAway() {
  bill = undefined
  scanSay(SCAN_WORDS)
  phoneStep('idle')
}

async function post(path, body) {
  try {
    const response = await fetch(path, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS),
    })
    const answer = await response.json()
    return response.ok ? answer : { problem: answer.problem ?? 'Something went wrong. Try again.' }
  } catch {
    return { problem: 'The bench cannot be reached. Try again.' }
  }
}

/* ---- the timeline ---- */

/** From the shop to the bank; whoever is not in the list stands between them, in order of appearance. */
const LANE_ORDER = ['cashier', 'keypad', 'register', 'lamps', 'panel', 'terminal', 'broker', 'gateway', 'ledger']
const LANE_LAST = ['omise', 'sandbox', 'omise sandbox', 'bank', 'wallet', 'phone', 'customer']
/** What all lanes may take together, and each of them. */
const LANES_PX = 460
const LANE_PX_MAX = 96
const LANE_PX_MIN = 62
const LANES_MAX = 8
let lanes = []
let entries = []
/** The newest stays in sight until the visitor scrolls up to read. */
let following = true

const titled = (name) => name.charAt(0).toUpperCase() + name.slice(1)
const laneKey = (name) => name.toLowerCase()

function laneRank(name) {
  const first = LANE_ORDER.indexOf(name)
  if (first >= 0) return first
  const last = LANE_LAST.indexOf(name)
  return last >= 0 ? 1000 + last : 100
}

/** Entries come from several programs, so one may arrive a little after a later one; its place is by its time. */
function showEntries(more, fresh) {
  const list = byId('entries')
  const newest = entries.at(-1)?.at ?? 0
  entries = [...(fresh ? [] : entries), ...more].sort((a, b) => a.at - b.at).slice(-TIMELINE_MAX)
  const inTurn = more.length === 1 && more[0].at >= newest
  const lanesBefore = lanes.length
  for (const { from, to } of more) {
    for (const name of [laneKey(from), laneKey(to)]) if (!lanes.includes(name)) lanes.push(name)
  }
  if (lanes.length !== lanesBefore) arrangeLanes()
  if (!fresh && inTurn && lanes.length === lanesBefore) {
    list.append(row(entries.at(-1), entries.at(-2)))
    if (list.childElementCount > TIMELINE_MAX) list.firstElementChild.remove()
  } else {
    list.replaceChildren(...entries.map((entry, index) => row(entry, entries[index - 1])))
  }
  if (!fresh) for (const entry of more) list.children[entries.indexOf(entry)]?.classList.add('fresh')
  byId('empty').hidden = entries.length > 0
  byId('timeline-count').textContent = entries.length === 0 ? '' : `${entries.length} ${entries.length === 1 ? 'message' : 'messages'}`
  if (fresh) following = true
  follow()
}

function follow() {
  if (following) byId('entries').scrollTop = byId('entries').scrollHeight
}

function noteReading() {
  const { scrollHeight, scrollTop, clientHeight } = byId('entries')
  following = scrollHeight - scrollTop - clientHeight < 60
}

function arrangeLanes() {
  lanes = lanes.map((name, index) => ({ name, index }))
    .sort((a, b) => laneRank(a.name) - laneRank(b.name) || a.index - b.index)
    .map(({ name }) => name)
  const shown = lanes.slice(0, LANES_MAX)
  const count = Math.max(shown.length, 1)
  const style = document.querySelector('.log').style
  style.setProperty('--lanes', String(count))
  style.setProperty('--lane-width', `${Math.max(LANE_PX_MIN, Math.min(LANE_PX_MAX, Math.floor(LANES_PX / count)))}px`)
  const names = element('div', 'names')
  names.append(...shown.map((name) => element('span', '', titled(name))))
  byId('lane-names').replaceChildren(...(shown.length === 0 ? [] : [names]))
}

function row(entry, previous) {
  const item = element('li', `entry ${entry.tone ?? 'plain'}`)
  const moment = new Date(entry.at)
  const time = element('time', '', clock(moment))
  time.dateTime = moment.toISOString()
  const what = element('div', 'what')
  what.append(element('span', 'who', `${titled(entry.from)} → ${titled(entry.to)}`), element('span', 'text', entry.text))
  item.append(time, element('span', 'gap', previous === undefined ? '' : gap(entry.at - previous.at)), arrows(entry), what)
  return item
}

function arrows({ from, to }) {
  const box = element('div', 'lanes')
  box.setAttribute('aria-hidden', 'true')
  const count = Math.min(lanes.length, LANES_MAX)
  const start = lanes.indexOf(laneKey(from))
  const end = lanes.indexOf(laneKey(to))
  if (start >= count || end >= count) return box
  const arrow = element('div', `arrow${start === end ? ' self' : end < start ? ' leftward' : ''}`)
  arrow.style.left = `${(Math.min(start, end) + 0.5) / count * 100}%`
  arrow.style.width = `${Math.abs(end - start) / count * 100}%`
  box.append(arrow)
  return box
}

const two = (value) => String(value).padStart(2, '0')
const clock = (moment) =>
  `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}.${String(moment.getMilliseconds()).padStart(3, '0')}`

function gap(ms) {
  if (ms < 1000) return `+${Math.max(0, Math.round(ms))} ms`
  return ms < 100_000 ? `+${(ms / 1000).toFixed(1)} s` : `+${Math.round(ms / 60_000)} min`
}

function element(name, className, text) {
  const made = document.createElement(name)
  if (className !== '') made.className = className
  if (text !== undefined) made.textContent = text
  return made
}

/* ---- the register ---- */

let answers = []

function registerSaid(line) {
  answers = [...answers, line].slice(-4)
  byId('register-said').textContent = answers.join('\n')
}

async function ringUp() {
  const amount = byId('ring-amount').value.trim()
  registerSaid(`${amount} …`)   // Before it is sent: the terminal may answer sooner than the bench says that it was.
  const { problem } = await post('/register/ring-up', { amount })
  if (problem !== undefined) registerSaid(problem)
}

/* ---- begin ---- */

function tick() {
  const now = new Date()
  byId('phone-clock').textContent = `${now.getHours()}:${two(now.getMinutes())}`
}

byId('scan').addEventListener('click', scan)
byId('done').addEventListener('click', putAway)
byId('back').addEventListener('click', putAway)
byId('ring-up').addEventListener('click', ringUp)
byId('ring-amount').addEventListener('keydown', (event) => { if (event.key === 'Enter') ringUp() })
for (const button of document.querySelectorAll('[data-outcome]')) button.addEventListener('click', () => decide(button.dataset.outcome))
window.addEventListener('resize', () => {
  fitPanel()
  follow()
})
byId('entries').addEventListener('scroll', noteReading, { passive: true })
tick()
setInterval(tick, 1000)
listenToKeys()
showLamps('off')
fitPanel()
connect()
