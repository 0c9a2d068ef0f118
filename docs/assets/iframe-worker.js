// Lets the search work where pages are opened as files. Browsers start no worker from there, so its script runs in a hidden
// frame, with what a worker has: messages, and importScripts (which answers with a promise; the theme's search waits for that).
class IFrameWorker extends EventTarget {
  constructor(address) {
    super()
    this.frame = Object.assign(document.createElement("iframe"), { hidden: true, title: "search", srcdoc: "<body>" })
    const load = (source) =>
      new Promise((resolve, reject) => {
        const script = this.frame.contentDocument.createElement("script")
        Object.assign(script, { src: new URL(source, document.baseURI).href, onload: resolve, onerror: reject })
        this.frame.contentDocument.body.append(script)
      })
    this.ready = new Promise((resolve) => this.frame.addEventListener("load", resolve)).then(() => {
      Object.assign(this.frame.contentWindow, {
        postMessage: (data) => this.dispatchEvent(new MessageEvent("message", { data })),
        importScripts: (...sources) => sources.reduce((before, each) => before.then(() => load(each)), Promise.resolve()),
      })
      return load(address)
    })
    document.body.append(this.frame)
  }

  postMessage(data) {
    this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
  }

  terminate() {
    this.frame.remove()
  }
}

if (location.protocol === "file:") {
  window.IFrameWorker = IFrameWorker
  window.Worker = IFrameWorker
}
