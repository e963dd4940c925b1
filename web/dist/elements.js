import"./chunk-77UJLHXW.js";import{d as a}from"./chunk-TG463DPR.js";import"./chunk-4VS3GB2J.js";export{a as connect};
